"""Many pictures at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import mmcv
import numpy as np


def draw_contact_sheet(
    pictures: Sequence[np.ndarray], columns: int = 6, cell: int = 256
) -> np.ndarray:
    """Pictures (H, W, 3) scaled into a grid of square cells, on white.

    Args:
        pictures: At least one.
        columns: Pictures side by side, at most.
        cell: Pixels of a side of a cell.
    """
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * cell, min(columns, len(pictures)) * cell, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        scaled = mmcv.imrescale(picture, (cell - 8, cell - 8))
        y, x = (i // columns) * cell + 4, (i % columns) * cell + 4
        sheet[y : y + scaled.shape[0], x : x + scaled.shape[1]] = scaled
    return sheet
