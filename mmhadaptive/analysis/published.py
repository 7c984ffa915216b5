"""The networks of the paper's Table 7: our counts, beside those that were published."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config

from .complexity import COUNTS, config_complexity
from .tables import markdown_table


def read_published(folder: Path) -> list[dict]:
    """Figures that others counted, in the order in which they stand there.

    Args:
        folder: That of the classification configs.

    Returns:
        Dicts of ``model`` (its name), ``num_classes``, ``input_size`` (a side of the image),
        ``merged`` (whether branches are), ``source``, and ``millions``: those of ``COUNTS`` that
        are known.
    """
    with (folder / "published.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        dict(
            model=row["model"],
            num_classes=int(row["num_classes"]),
            input_size=int(row["input_size"]),
            merged=row["merged"] == "yes",
            source=row["source"],
            millions={key: float(row[f"{key}_m"]) for key in COUNTS if row[f"{key}_m"]},
        )
        for row in rows
    ]


def difference_percent(count: int, millions: float) -> float:
    """By how much a count differs from a published one."""
    return round(100 * (count / 1e6 / millions - 1), 2)


def compare_published(folder: Path, report: Callable[[str], None] = lambda name: None) -> list:
    """Count every network that has published figures, for 100 classes and as it was published.

    Args:
        folder: That of the classification configs, ``{model}_cifar100.py`` among them.
        report: Is called with the name of every network, before it is counted.

    Returns:
        An entry a network: ``model``, its counts for 100 classes at 224x224, and ``published``: the
        figures of others with ``ours`` and ``difference_percent``.
    """
    published = read_published(folder)
    networks = []
    for name in dict.fromkeys(row["model"] for row in published):
        report(name)
        path = folder / f"{name}_cifar100.py"
        entry = dict(model=name, **config_complexity(Config.fromfile(path), (224, 224), 100))
        entry["published"] = []
        for row in (row for row in published if row["model"] == name):
            size = (row["input_size"], row["input_size"])
            ours = config_complexity(Config.fromfile(path), size, row["num_classes"], row["merged"])
            theirs = row["millions"]
            entry["published"].append(
                dict(
                    source=row["source"],
                    num_classes=row["num_classes"],
                    input_size=row["input_size"],
                    merged=row["merged"],
                    millions=theirs,
                    ours=ours,
                    difference_percent={
                        key: difference_percent(ours[key], value) for key, value in theirs.items()
                    },
                )
            )
        networks.append(entry)
    return networks


def published_table(networks: list[dict]) -> str:
    """The entries of :func:`compare_published` in Markdown."""
    headers = ["network", *(f"{name}, M" for name in ("parameters", "MACs", "activations"))]
    rows = []
    for entry in networks:
        published = []
        for row in entry["published"]:
            by = row["source"]
            if row["num_classes"] != 100:
                by += f", {row['num_classes']} classes"
            if row["input_size"] != 224:
                by += f", {row['input_size']} pixels"
            if not row["merged"]:
                by += ", branches not merged"
            theirs, percent = row["millions"], row["difference_percent"]
            published.append(
                f"{theirs['parameters']:g}, {theirs['macs']:g} "
                f"({percent['parameters']:+.1f} %, {percent['macs']:+.1f} %; {by})"
            )
        counts = [f"{entry[key] / 1e6:.3f}" for key in COUNTS]
        rows.append([f"`{entry['model']}`", *counts, "<br>".join(published)])
    return markdown_table([*headers, "published: parameters, MACs"], rows)
