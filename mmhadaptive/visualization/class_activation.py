"""Grad-CAM along the depth of networks, as Figs. 8 and 9 of the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

# Inches of a cell with its captions, and of what is around the cells.
CELL = 1.35
CAPTION = 0.52
HEADING = 0.36
FOOT = 0.3
COLOURS = "turbo"
# Of the colours at the maximum; the picture is seen where the map is low.
OPACITY = 0.7


def draw_class_activation(rows: Sequence[dict], columns: int | None = None) -> Figure:
    """A sheet: a row a network, a column a layer along the depth, the picture at the left.

    A layer of a down-sampling has an arrow, and one that the score does not depend on is grey.

    Args:
        rows: Each with ``title``; ``picture`` (h, w, 3), uint8, RGB, what the network sees;
            ``caption`` of the picture; ``box``, x1, y1, x2, y2 in its pixels, or None; and
            ``layers``, each with the attributes of
            :class:`~mmhadaptive.analysis.class_activation.LayerActivation`.
        columns: Layers side by side; where there are more, the rows go on below.
    """
    deepest = max(len(row["layers"]) for row in rows)
    columns = min(columns or deepest, deepest)
    lines = [
        dict(row, layers=row["layers"][start : start + columns])
        for start in range(0, deepest, columns)
        for row in rows
        if row["layers"][start : start + columns]
    ]
    heights = [_cell_height(line["picture"]) for line in lines]
    width = (1 + columns) * CELL
    height = sum(heights) + len(lines) * (CAPTION + HEADING) + FOOT
    figure = Figure(figsize=(width, height))
    top = height
    for row, cell in zip(lines, heights, strict=True):
        where = dict(fontsize=9, weight="bold", va="center", ha="left")
        figure.text(0.04 / width, (top - 0.65 * HEADING) / height, row["title"], **where)
        top -= HEADING + CAPTION + cell
        for column in range(1 + len(row["layers"])):
            left = (column * CELL + 0.03) / width
            axes = figure.add_axes((left, top / height, (CELL - 0.06) / width, cell / height))
            axes.set_axis_off()
            if column == 0:
                _draw_picture(axes, row)
            else:
                _draw_layer(axes, row["picture"], row["layers"][column - 1])
            if row["box"] is not None:
                _draw_box(axes, row["box"])
    figure.text(0.5, 0.4 * FOOT / height, _KEY, fontsize=8, va="center", ha="center")
    return figure


_KEY = (
    "red: the most evidence in the layer, grey: the least       "
    "\N{BLACK DOWN-POINTING TRIANGLE} down-sampling"
)


def _cell_height(picture: np.ndarray) -> float:
    height, width = picture.shape[:2]
    return (CELL - 0.06) * height / width


def _draw_picture(axes: Axes, row: dict) -> None:
    axes.imshow(row["picture"])
    axes.set_title(row["caption"], fontsize=8, pad=3)


def _draw_layer(axes: Axes, picture: np.ndarray, layer) -> None:
    grey = picture @ np.array([0.299, 0.587, 0.114])
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
    if layer.weight:
        cam = layer.cam[: grey.shape[0], : grey.shape[1]]
        axes.imshow(cam, cmap=COLOURS, vmin=0, vmax=1, alpha=OPACITY * np.sqrt(cam))
    arrow = "\N{BLACK DOWN-POINTING TRIANGLE} " if layer.downsamples else ""
    size = "\N{MULTIPLICATION SIGN}".join(map(str, layer.size))
    note = size if layer.weight else f"{size}, no influence"
    name = layer.name.removeprefix("backbone.")
    axes.set_title(f"{arrow}{layer.kind}\n{name}\n{note}", fontsize=7, pad=3, linespacing=1.15)


def _draw_box(axes: Axes, box: Sequence[float]) -> None:
    x1, y1, x2, y2 = box
    for colour, line in (("black", 2.6), ("yellow", 1.3)):
        axes.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=colour, lw=line)
        )
