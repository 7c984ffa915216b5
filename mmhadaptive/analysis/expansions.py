"""The three expansions, 1x1 convolution, Ghost and ACH, over width and ratio (Figs. 5 and 6).

The closed formulas stand for the paper's equations 15 to 18. A convolution has no bias, and its
normalisation two parameters a channel.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from mmhadaptive.layers import (
    AdaptiveCrossHadamard,
    GhostExpansion,
    PointwiseExpansion,
    selected_for_width,
)

from .complexity import complexity
from .tables import markdown_table

# (input channels, expansion ratio).
SWEEPS = {
    "width": [(channels, 4) for channels in (16, 32, 64, 96, 128, 160, 192, 224, 256)],
    "ratio": [(64, ratio) for ratio in (2, 3, 4, 6, 8, 12, 16)],
}
# Height and width of the late stages, in an image of 224.
EXTENT = 14
ECA_KERNEL_SIZE = 5

# For C channels and the ratio r: the layer, its parameters, its MACs a pixel and those an image.


def pointwise(c: int, r: int) -> tuple[nn.Module, int, int, int]:
    """A 1x1 convolution: C rC weights."""
    return PointwiseExpansion(c, r * c), r * c * c + 2 * r * c, r * c * c, 0


def ghost(c: int, r: int) -> tuple[nn.Module, int, int, int]:
    """Half of the width by a 1x1 convolution, half by a 3x3 depthwise one: (C + 9) rC / 2."""
    weights = (c + 9) * r * c // 2
    return GhostExpansion(c, r * c), weights + 2 * r * c, weights, 0


def ach(c: int, r: int) -> tuple[nn.Module, int, int, int]:
    """A 1x1 convolution of C C, scores by a 1-D convolution, and p = k(k-1)/2 products.

    DySoft has two parameters a product and one of its own.
    """
    k = selected_for_width(c, r * c)
    p = k * (k - 1) // 2
    layer = AdaptiveCrossHadamard(c, k, eca_kernel_size=ECA_KERNEL_SIZE)
    parameters = c * c + 2 * c + ECA_KERNEL_SIZE + 2 * p + 1
    return layer, parameters, c * c + p, c * ECA_KERNEL_SIZE


EXPANSIONS = {"pointwise": pointwise, "ghost": ghost, "ach": ach}


def sweep(points: Iterable[tuple[int, int]]) -> list[dict]:
    """Count every expansion at 14x14 for every pair of input channels and ratio.

    Returns:
        Rows of ``expansion``, ``in_channels``, ``ratio``, ``out_channels``, ``parameters`` and
        ``macs`` as they are counted, and ``formula``: the same two by the closed formulas.
    """
    rows = []
    for in_channels, ratio in points:
        for kind, expansion in EXPANSIONS.items():
            layer, parameters, pixel, image = expansion(in_channels, ratio)
            counts = complexity(layer.eval(), (in_channels, EXTENT, EXTENT))
            rows.append(
                dict(
                    expansion=kind,
                    in_channels=in_channels,
                    ratio=ratio,
                    out_channels=layer.out_channels,
                    parameters=counts["parameters"],
                    macs=counts["macs"],
                    formula=dict(parameters=parameters, macs=pixel * EXTENT**2 + image),
                )
            )
    return rows


def sweep_table(rows: list[dict]) -> str:
    """The rows of :func:`sweep` in Markdown, one for the expansions of a point."""
    lines = []
    for start in range(0, len(rows), len(EXPANSIONS)):
        group = rows[start : start + len(EXPANSIONS)]
        first, last = group[0], group[-1]
        cells = [f"{row['parameters']:,}, {row['macs']:,}" for row in group]
        cells[-1] += f" ({last['out_channels']})"
        lines.append([first["in_channels"], first["ratio"], *cells])
    headers = ["input", "ratio", "1x1: parameters, MACs", "Ghost", "ACH (width)"]
    return markdown_table(headers, lines)
