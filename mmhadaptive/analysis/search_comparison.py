"""Searches in the space of Table 3 with several seeds, and what they found trained beside
Hadaptive-Net-S with its products and with Ghost in their place."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from mmengine.config import Config

from mmhadaptive.io.model_index import FOLDER

from .complexity import config_complexity
from .confidence import ConfidenceRow, columns_of, percent
from .input_size import input_size
from .runs import Run, keep_settings, run_tool, train_all
from .tables import markdown_table
from .training import read_curves, summary

SEARCH = "hadaptive_gdas_ach_variants_cifar100_64px_60e"
#: By the name of its config, what a network is called; the search writes the first of them.
NETWORKS = {
    "searched": "derived",
    "hadaptive_s_cifar100_64px": "Hadaptive-Net-S",
    "hadaptive_s_cifar100_64px_ghost": "Hadaptive-Net-S, Ghost for its products",
}
# Table 3, in per cent: by row of the architecture, Ghost, DySoft, DySig, DyAlge.
TABLE_3 = {
    "arch[2][0]": ("99.97", "<0.01", "<0.01", "<0.01"),
    "arch[2][1]": ("99.99", "<0.01", "<0.01", "<0.01"),
    "arch[3][0]": ("99.87", "<0.01", "<0.01", "<0.01"),
    "arch[3][1]": ("99.69", "0.24", "<0.01", "<0.01"),
    "arch[3][2]": ("99.48", "0.18", "0.05", "0.23"),
    "arch[3][3]": ("98.40", "0.80", "0.15", "0.51"),
    "arch[3][4]": ("97.37", "0.63", "0.63", "1.10"),
    "arch[3][5]": ("2.92", "62.02", "6.58", "28.18"),
    "arch[4][0]": ("12.78", "43.72", "23.87", "19.62"),
    "arch[4][1]": ("0.34", "70.05", "25.34", "4.24"),
    "arch[4][2]": ("1.68", "34.56", "29.40", "34.30"),
}
CONFIGS = FOLDER / "configs"


def config_of(name: str, folder: Path) -> Path:
    """The config of a network of :data:`NETWORKS`, or of the search, of a seed's folder."""
    if name == "searched":
        return folder / "search" / "searched.py"
    return CONFIGS / ("nas" if name == SEARCH else "classification/cifar100_64px") / f"{name}.py"


def runs_of(
    results: Path, data: Path, seeds: Sequence[int], options: Sequence[str]
) -> Iterator[Run]:
    """The searches and the trainings, in their order: ``seed0/search`` and ``seed0/NETWORK``."""
    for seed in seeds:
        folder = results / f"seed{seed}"
        for name in (SEARCH, *NETWORKS):
            loaders = ["train"] if name == SEARCH else ["train", "val"]
            roots = [f"{each}_dataloader.dataset.dataset.data_root={data}" for each in loaders]
            work_dir = folder / ("search" if name == SEARCH else name)
            settings = (f"randomness.seed={seed}", *roots, *options)
            yield Run(f"seed {seed}: {name}", config_of(name, folder), work_dir, settings)


def run_all(
    results: Path,
    data: Path,
    seeds: Sequence[int],
    seconds: float,
    options: Sequence[str],
    log: Callable[[str], None],
    tool: Callable[..., None] = run_tool,
) -> bool:
    """Search and train, for so many seconds; called again it continues.

    Args:
        results: Folder of the runs.
        data: Folder of ``train.npz`` and ``test.npz``.
        seeds: Seeds of the runs, one after the other.
        seconds: After so long the run in progress writes a checkpoint and ends.
        options: ``--cfg-options`` for all runs.
        log: Called with a line of progress.
        tool: Called with the words of a command, of which the first is a script of ``tools/``.

    Returns:
        Whether all is done.

    Raises:
        UserError: A run failed, or the folder has runs of other options.
    """
    for seed in seeds:
        keep_settings(results / f"seed{seed}", options)
    return train_all(runs_of(results, data, seeds, options), seconds, log, tool)


def read_confidence(work_dir: Path) -> list[ConfidenceRow]:
    """The table of a search, of its ``confidence.csv``."""
    with (work_dir / "confidence.csv").open() as file:
        lines = list(csv.DictReader(file))
    rows = []
    for line in lines:
        place, channels, stride = (line.pop(key) for key in ("row", "channels", "stride"))
        values = {name: float(value) for name, value in line.items() if value}
        rows.append(ConfidenceRow(place, int(channels), int(stride), values or None))
    return rows


def read_history(work_dir: Path) -> list[dict[str, dict[str, float]]]:
    """The probabilities of all epochs, of ``confidence_history.csv``: by row, by candidate."""
    history: dict[int, dict[str, dict[str, float]]] = {}
    with (work_dir / "confidence_history.csv").open() as file:
        for line in csv.DictReader(file):
            epoch = history.setdefault(int(line["epoch"]), {})
            epoch.setdefault(line["row"], {})[line["candidate"]] = float(line["confidence"])
    return [history[epoch] for epoch in sorted(history)]


def collect(results: Path, seeds: Sequence[int]) -> dict:
    """What :func:`run_all` has left, as a record: ``searches`` and ``networks``."""
    searches, networks = [], []
    for seed in seeds:
        folder = results / f"seed{seed}"
        found = Config.fromfile(config_of("searched", folder))
        curves, pieces = read_curves(folder / "search")
        rows = [asdict(row) for row in read_confidence(folder / "search")]
        arch = [[list(row) for row in stage] for stage in found.arch]
        searches.append(dict(seed=seed, epochs=len(curves), arch=arch, rows=rows, pieces=pieces))
        for name in NETWORKS:
            curves, pieces = read_curves(folder / name)
            cfg = Config.fromfile(config_of(name, folder))
            counts = config_complexity(cfg, input_size(cfg))
            networks.append(
                dict(
                    network=name,
                    seed=seed,
                    parameters=counts["parameters"],
                    macs=counts["macs"],
                    **summary(curves),
                    pieces=pieces,
                )
            )
    return dict(searches=searches, networks=networks)


def search_table(record: dict) -> str:
    """The confidences of Table 3 and of every seed, in per cent, in Markdown."""
    searches = [
        [ConfidenceRow(**row) for row in search["rows"] if row["confidence"]]
        for search in record["searches"]
    ]
    names = columns_of(searches[0])
    heads = ["Table 3", *(f"seed {search['seed']}" for search in record["searches"])]
    lines = []
    for rows in zip(*searches, strict=True):
        first = rows[0]
        channels = f"<u>{first.channels}</u>" if first.stride > 1 else first.channels
        printed = TABLE_3.get(first.place, ["-"] * len(names))
        best = max(range(len(printed)), key=lambda i, printed=printed: _number(printed[i]))
        cells = [f"**{cell}**" if i == best else cell for i, cell in enumerate(printed)]
        for row in rows:
            likeliest = max(row.confidence, key=row.confidence.__getitem__)
            for name in names:
                cell = percent(row.confidence[name]).removesuffix("%")
                cells.append(f"**{cell}**" if name == likeliest else cell)
        lines.append([f"{first.place}: {channels}", *cells])
    columns = [f"{head}: {name}" for head in heads for name in names]
    return markdown_table(["row: channels", *columns], lines)


def _number(cell: str) -> float:
    return float(cell) if cell[0].isdigit() else 0.0


def searched_table(record: dict) -> str:
    """Size and top-1 of the networks that were trained alike, in Markdown."""
    lines = []
    for name, title in NETWORKS.items():
        runs = [run for run in record["networks"] if run["network"] == name]
        # What is derived differs from seed to seed.
        for group in [[run] for run in runs] if name == "searched" else [runs]:
            top1 = [run["last_top1"] for run in group]
            spread = f" ± {statistics.stdev(top1):.2f}" if len(top1) > 1 else ""
            label = f"{title}, seed {group[0]['seed']}" if name == "searched" else title
            lines.append(
                [
                    label,
                    f"{group[0]['parameters'] / 1e6:.3f}",
                    f"{group[0]['macs'] / 1e6:.2f}",
                    f"{statistics.mean(top1):.2f}{spread}",
                    len(top1),
                ]
            )
    return markdown_table(["network", "M parameters", "M MACs", "top-1, %", "runs"], lines)
