"""MACs and FLOPs of expansions (Figs. 5 and 6 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

NAMES = {"pointwise": "1x1", "ghost": "Ghost", "ach": "ACH"}


def draw_complexity(rows: Sequence[dict], axis: str, label: str) -> Figure:
    """Draw two panels, MACs and FLOPs, with a line for each expansion.

    Args:
        rows: Dicts of ``expansion`` (one of ``NAMES``), ``macs``, ``flops`` and ``axis``.
        axis: What the counts are drawn over.
        label: Its name in the picture.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, count in zip(panels, ("macs", "flops"), strict=True):
        for kind, name in NAMES.items():
            points = [(row[axis], row[count]) for row in rows if row["expansion"] == kind]
            panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
        panel.set(xlabel=label, ylabel={"macs": "MACs", "flops": "FLOPs"}[count])
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_formatter(EngFormatter(sep=" "))
        panel.grid(alpha=0.3)
    panels[0].legend()
    return figure
