"""The tables of the docs, made of the records that are committed beside them.

A block of a Markdown file, from ``<!-- table: NAME -->`` to ``<!-- end -->``, holds the table
``NAME`` of :data:`TABLES` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mmengine.fileio import load

from .bccd_comparison import comparison_table
from .bert import bert_table
from .channels import channels_table
from .checkpoints import checkpoints_table
from .cifar100_comparison import ablations_table, accuracies_table, batches_table
from .deployed import frozen_table, int8_table
from .detection_step import step_table
from .detectors import detectors_table
from .detectors_today import today_table
from .expansions import SWEEPS, sweep_table
from .first_contact import first_contact_table
from .images_per_second import images_table
from .latency_tables import latency_table, ratios_table, targets_table
from .ledger import ledger_table
from .operator_tables import depthwise_table
from .published import published_table
from .replaced import replaced_table, trained_table
from .results import records_table, results_table
from .search_comparison import search_table, searched_table
from .search_step import search_costs_table
from .selection import selection_table
from .speed import bandwidth_table, benchmarks_table, speed_table
from .training_step import operators_table, training_table
from .trials.all import trials_table

BLOCK = re.compile(r"<!-- table: (\S+) -->\n(.*?)<!-- end -->", re.DOTALL)


def _of(record: str, table: Callable[[dict], str]) -> Callable[[Path], str]:
    """A table of one record, which is a path below the docs."""
    return lambda docs: table(load(docs / record))


#: By name, a function that makes the table from the folder of the docs.
TABLES: dict[str, Callable[[Path], str]] = {
    "table6": _of("results/detectors.json", lambda record: detectors_table(record["detectors"])),
    "table7": _of("results/complexity.json", lambda record: published_table(record["networks"])),
    "expansions": _of(
        "results/expansion_sweeps.json",
        lambda record: sweep_table([row for name in SWEEPS for row in record[name]]),
    ),
    "replaced": _of("results/replacement.json", lambda record: replaced_table(record["networks"])),
    "bert": _of("results/bert.json", lambda record: bert_table(record["bert"])),
    "replaced-trained": _of(
        "results/replacement_cifar100.json", lambda record: trained_table(record["summary"])
    ),
    "images-per-second": _of(
        "results/data_pipeline.json", lambda record: images_table(record["images_per_second"])
    ),
    "detection-step": _of(
        "results/detection_step.json", lambda record: step_table(record["seconds"])
    ),
    "detectors-today": _of(
        "results/detectors_today.json", lambda record: today_table(record["detectors"])
    ),
    # Some blocks, as these, join the docs with their records.
    "search": _of("results/search_cifar100.json", search_table),
    "searched": _of("results/search_cifar100.json", searched_table),
    "search-step": _of(
        "results/search_step.json", lambda record: search_costs_table(record["search_step"])
    ),
    "latency": _of("results/latency.json", lambda record: latency_table(record["networks"])),
    "latency-ratios": _of("results/latency.json", lambda record: ratios_table(record["networks"])),
    "latency-targets": _of(
        "results/latency.json", lambda record: targets_table(record["networks"])
    ),
    "latency-detectors": _of(
        "results/latency.json", lambda record: latency_table(record["detectors"])
    ),
    "accuracies": _of("results/comparison_cifar100.json", accuracies_table),
    "ablations": _of("results/comparison_cifar100.json", ablations_table),
    "batch-sizes": _of("results/comparison_cifar100.json", batches_table),
    "bccd-comparison": _of("results/bccd_comparison.json", comparison_table),
    "training-step": _of("results/training_step.json", training_table),
    "training-operators": _of("results/training_step.json", operators_table),
    "training-step-cifar100": _of("results/training_step_cifar100.json", training_table),
    "training-operators-cifar100": _of("results/training_step_cifar100.json", operators_table),
    "trials": _of("results/trials.json", lambda record: trials_table(record["trials"])),
    "frozen": frozen_table,
    "int8": int8_table,
    "selection": selection_table,
    "channels": lambda docs: channels_table(),
    "first-contact": first_contact_table,
    "checkpoints": checkpoints_table,
    "paper": ledger_table,
    "results": results_table,
    "records": records_table,
    "benchmarks": lambda docs: benchmarks_table(docs / "benchmarks"),
    "speed": lambda docs: speed_table(docs / "benchmarks"),
    "depthwise": _of(
        "benchmarks/depthwise-cpu-float32.json", lambda record: depthwise_table(record["rows"])
    ),
    "bandwidth": lambda docs: bandwidth_table(docs / "benchmarks"),
}


def stale_blocks(docs: Path) -> dict[Path, tuple[list[str], str]]:
    """What the blocks of the docs, and of the README beside them, lack of the records.

    Args:
        docs: A folder of Markdown files, at any depth, and of the records.

    Returns:
        For each file with a block that is not current, the names of these blocks, and the text of
        the file with all of them current.

    Raises:
        ValueError: A block has no end, or a name that is not in :data:`TABLES`.
    """
    found = {}
    for path in sorted([*docs.rglob("*.md"), *docs.parent.glob("README.md")]):
        names, text = [], path.read_text()

        def fill(block: re.Match, path: Path = path, names: list[str] = names) -> str:
            name, body = block.groups()
            if name not in TABLES:
                raise ValueError(f"{path}: no table is called {name}, but {', '.join(TABLES)}")
            table = f"\n{TABLES[name](docs)}\n"
            if body != table:
                names.append(name)
            return f"<!-- table: {name} -->\n{table}<!-- end -->"

        if text.count("<!-- table: ") != len(BLOCK.findall(text)):
            raise ValueError(f"{path}: a block has no <!-- end -->")
        text = BLOCK.sub(fill, text)
        if names:
            found[path] = names, text
    return found
