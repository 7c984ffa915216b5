"""The three expansions, 1x1 convolution, Ghost and ACH, over width and ratio (Figs. 5 and 6).

Beside the counts stand closed formulas of the layers, and the paper's ratios to a 1x1 convolution
of the same width (eqs. 15 to 18), of which the paper prints two with a wrong sign: in eq. 15
``k^2 / m`` is a factor of the term before it, and in eq. 17 ``1 / n`` is subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from mmhadaptive.layers import (
    AdaptiveCrossHadamard,
    GhostExpansion,
    PointwiseExpansion,
    selected_for_width,
)

from .complexity import complexity
from .tables import markdown_table

# (input channels m, expansion ratio n / m).
SWEEPS = {
    "width": [(channels, 4) for channels in (16, 32, 64, 128, 256, 384, 512)],
    "ratio": [(64, ratio) for ratio in (4, 8, 12, 16, 20, 24)],
}
# Height and width of the frame.
EXTENT = 224
ECA_KERNEL_SIZE = 5
GHOST_KERNEL_SIZE = 3

# Of m channels, the width n and p pixels: parameters, MACs and FLOPs, as complexity() counts them.


def pointwise_formula(m: int, n: int, p: int) -> tuple[int, int, int]:
    """A 1x1 convolution of ``mn`` weights."""
    return m * n + 2 * n, m * n * p, (2 * m * n + 8 * n) * p


def ghost_formula(m: int, n: int, p: int) -> tuple[int, int, int]:
    """Half of the width by a 1x1 convolution, half by a depthwise one: ``(m + k^2) n / 2``."""
    weights = (m + GHOST_KERNEL_SIZE**2) * n // 2
    return weights + 2 * n, weights * p, (2 * weights + 8 * n) * p


def ach_formula(m: int, n: int, p: int) -> tuple[int, int, int]:
    """A 1x1 convolution of ``m^2`` weights, scores, and ``n - m`` products.

    DySoft has two parameters a product and one of its own. Scores are averages over the pixels, and
    a 1-D convolution over the channels.
    """
    scores = ECA_KERNEL_SIZE * m
    parameters = m * m + 2 * m + ECA_KERNEL_SIZE + 2 * (n - m) + 1
    macs = (m * m + n - m) * p + scores
    return parameters, macs, (2 * m * m + 8 * m) * p + 2 * scores + 2 * m * (p + 1)


def ach(m: int, n: int) -> AdaptiveCrossHadamard:
    """The narrowest ACH that is as wide as ``n``."""
    return AdaptiveCrossHadamard(m, selected_for_width(m, n), eca_kernel_size=ECA_KERNEL_SIZE)


def ghost_ratio(m: int, n: int) -> float:
    """MACs of Ghost to those of a 1x1 convolution (eq. 15, with ``s = n / 2``)."""
    s = n / 2
    return s / n + (n - s) / n * GHOST_KERNEL_SIZE**2 / m


def ach_ratio(m: int, n: int) -> float:
    """MACs of ACH to those of a 1x1 convolution (eq. 17)."""
    return m / n + 1 / m - 1 / n


# The layer for m and n, its formula, and its ratio by the paper: in full, and simplified.
EXPANSIONS: dict[str, tuple[Callable, Callable, Callable | None, Callable | None]] = {
    "pointwise": (PointwiseExpansion, pointwise_formula, None, None),
    "ghost": (GhostExpansion, ghost_formula, ghost_ratio, lambda m, n: 1 / 2),
    "ach": (ach, ach_formula, ach_ratio, lambda m, n: m / n),
}


def sweep(points: Iterable[tuple[int, int]], extent: int = EXTENT) -> list[dict]:
    """Count every expansion for every pair of input channels and ratio.

    Args:
        points: Pairs of input channels and ratio.
        extent: Height and width of the frame.

    Returns:
        Rows of ``expansion``, ``in_channels``, ``ratio``, ``out_channels``, ``parameters``,
        ``macs`` and ``flops`` as they are counted, ``formula``: the same three by the closed
        formulas, and but for the 1x1 convolution ``macs_ratio`` to one of the same width, with
        ``equation`` and ``simplified``, what eqs. 15 or 17, and 16 or 18, say of it.
    """
    rows = []
    for m, ratio in points:
        for kind, (build, formula, equation, simplified) in EXPANSIONS.items():
            layer: nn.Module = build(m, ratio * m)
            n = layer.out_channels
            counts = complexity(layer.eval(), (m, extent, extent))
            names = ("parameters", "macs", "flops")
            row = dict(expansion=kind, in_channels=m, ratio=ratio, out_channels=n)
            row |= {name: counts[name] for name in names}
            row["formula"] = dict(zip(names, formula(m, n, extent**2), strict=True))
            if equation:
                row["macs_ratio"] = counts["macs"] / (m * n * extent**2)
                row |= dict(equation=equation(m, n), simplified=simplified(m, n))
            rows.append(row)
    return rows


def sweep_table(rows: list[dict]) -> str:
    """The rows of :func:`sweep` in Markdown, a line for each that differs."""
    titles = {"pointwise": "1x1", "ghost": "Ghost", "ach": "ACH"}
    lines = []
    for row in rows:
        shape = f"{row['in_channels']} → {row['out_channels']}"
        counts = [
            f"{row['parameters']:,}",
            *(f"{row[key] / 1e6:,.1f}" for key in ("macs", "flops")),
        ]
        ratios = [row.get(key) for key in ("macs_ratio", "equation", "simplified")]
        cells = ["-" if value is None else f"{value:.4f}" for value in ratios]
        line = [shape, titles[row["expansion"]], *counts, *cells]
        if line not in lines:
            lines.append(line)
    headers = ["channels", "expansion", "parameters", "MACs, M", "FLOPs, M"]
    headers += ["MACs to 1x1", "eq. 15 or 17", "eq. 16 or 18"]
    return markdown_table(headers, lines)
