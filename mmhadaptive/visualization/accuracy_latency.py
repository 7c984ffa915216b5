"""Accuracies over latencies."""

from __future__ import annotations

import re
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

OURS = "hadaptive"


def family(name: str) -> str:
    """The networks that differ in their size alone, such as ``mobilenetv4_conv`` or ``starnet``."""
    return re.sub(r"(_(s?\d+x?|[sml]|small|medium|large))$", "", name)


def draw_accuracy_latency(rows: Sequence[dict], form: str, title: str) -> Figure:
    """Draw a panel for each data set, with a line through the sizes of every family.

    Bars from the first to the third quartile of the latency lie behind the points. Ours are the
    stars.

    Args:
        rows: Networks of the record of ``tools/analysis/benchmark_latency.py``.
        form: The one whose latencies are drawn; networks without it are left out.
        title: Of the picture.
    """
    rows = [row for row in rows if form in row["milliseconds"]]
    datasets = list(dict.fromkeys(name for row in rows for name in row["paper"]["top1"]))
    families = {}
    for row in rows:
        families.setdefault(family(row["network"]), []).append(row)
    figure = Figure(figsize=(6 * max(1, len(datasets)), 5.2), layout="constrained")
    panels = figure.subplots(1, max(1, len(datasets)), squeeze=False)[0]
    for panel, dataset in zip(panels, datasets, strict=False):
        for number, (name, members) in enumerate(families.items()):
            shown = [row for row in members if dataset in row["paper"]["top1"]]
            shown.sort(key=lambda row: row["milliseconds"][form]["median"])
            times = [row["milliseconds"][form] for row in shown]
            medians = [entry["median"] for entry in times]
            ours = name == OURS
            panel.errorbar(
                medians,
                [row["paper"]["top1"][dataset] for row in shown],
                xerr=[
                    [entry["median"] - entry["q1"] for entry in times],
                    [entry["q3"] - entry["median"] for entry in times],
                ],
                marker="*" if ours else "o",
                markersize=13 if ours else 5,
                color="crimson" if ours else f"C{[0, 1, 2, 4, 5, 6, 7, 8, 9][number % 9]}",
                linewidth=1.8 if ours else 1,
                elinewidth=0.8,
                zorder=3 if ours else 2,
                label=name,
            )
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xticks([1, 2, 5, 10, 20, 50, 100])
        latencies = [row["milliseconds"][form]["median"] for row in rows]
        panel.set_xlim(0.8 * min(latencies), 1.25 * max(latencies))
        panel.grid(alpha=0.3)
        panel.set(xlabel="milliseconds an image, measured", ylabel=f"{dataset}, top-1, paper")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(title)
    return figure
