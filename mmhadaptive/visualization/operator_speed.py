"""How fast the kernels of the operator are."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

# What is compared: the paper's two, and each kernel with the one that is used by default.
PAIRS = (("direct", "parity"), ("direct", "tiled"), ("parity", "tiled"), ("elementwise", "tiled"))
# By the grid of a row the name of what it varies beside the extent, in the row and in the picture.
GRIDS = {"batch": ("batch", "batch"), "channels": ("selected", "selected channels")}
# Seconds.
EPS = 1e-12


def draw_speedups(rows: Sequence[dict], title: str) -> Figure:
    """Draw a bar for each layer and direction: times as fast as eager PyTorch.

    Args:
        rows: Those of :func:`mmhadaptive.analysis.operator_benchmarks.layers`.
        title: Of the picture.
    """
    name = "tiled" if "tiled_forward" in rows[0] else "auto"
    labels = [
        f"{row['network']}, stride {row['stride']}, {row['extent']}², batch {row['batch']}, "
        + ("channels_last" if row["channels_last"] else "NCHW")
        for row in rows
    ]
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    slowest = 1.0
    for offset, (what, label) in enumerate((("forward", "forward"), ("both", "with backward"))):
        speedups = [row[f"eager_{what}"] / row[f"{name}_{what}"] for row in rows]
        slowest = min(slowest, 0.9 * min(speedups))
        axes.barh([y + 0.4 * offset for y in range(len(rows))], speedups, 0.38, label=label)
    axes.set_yticks([y + 0.2 for y in range(len(rows))], labels)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    # Logarithmic, so that a single slow run of eager PyTorch does not squeeze all other bars.
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(left=slowest)
    axes.grid(axis="x", alpha=0.4)
    axes.set_axisbelow(True)
    axes.set_xlabel("times as fast as eager PyTorch")
    axes.set_title(title)
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def draw_strategies(rows: Sequence[dict], title: str) -> Figure:
    """Draw Fig. 7 of the paper, and the same of other pairs of kernels.

    A cell shows (A - B) / (A + B + eps) of the times, red where A is the slower; in the first
    column A is ``direct`` and B ``parity``.

    Args:
        rows: Those of :func:`mmhadaptive.analysis.operator_benchmarks.sweep`.
        title: Of the picture.
    """
    figure = Figure(figsize=(4.4 * len(PAIRS), 8), layout="constrained")
    axes = figure.subplots(2, len(PAIRS))
    for line, (grid, (key, label)) in zip(axes, GRIDS.items(), strict=True):
        chosen = [row for row in rows if row["grid"] == grid]
        ys = sorted({row[key] for row in chosen})
        xs = sorted({row["extent"] for row in chosen})
        for axis, (a, b) in zip(line, PAIRS, strict=True):
            by_cell = {(r[key], r["extent"]): (r[a] - r[b]) / (r[a] + r[b] + EPS) for r in chosen}
            values = [[by_cell[y, x] for x in xs] for y in ys]
            image = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, origin="lower")
            axis.set_xticks(range(len(xs)), xs)
            axis.set_yticks(range(len(ys)), ys)
            axis.set_xlabel("height and width")
            axis.set_ylabel(label)
            axis.set_title(f"red: {a} slower than {b}")
    figure.colorbar(image, ax=axes, shrink=0.6, label="(A - B) / (A + B + eps)")
    figure.suptitle(title)
    return figure
