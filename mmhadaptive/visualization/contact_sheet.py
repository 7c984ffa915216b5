"""Many pictures at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import mmcv
import numpy as np


def draw_contact_sheet(
    pictures: Sequence[np.ndarray], columns: int = 6, cell: int = 256
) -> np.ndarray:
    """Pictures (H, W, 3) scaled to fit into squares, in rows as high as their highest, on white.

    Args:
        pictures: At least one.
        columns: Pictures side by side, at most.
        cell: Pixels of a side of a square, margins of 4 included.
    """
    scaled = [mmcv.imrescale(picture, (cell - 8, cell - 8)) for picture in pictures]
    rows = []
    for first in range(0, len(scaled), columns):
        row = scaled[first : first + columns]
        height = max(picture.shape[0] for picture in row) + 8
        rows.append(np.full((height, min(columns, len(scaled)) * cell, 3), 255, np.uint8))
        for i, picture in enumerate(row):
            x = i * cell + 4
            rows[-1][4 : 4 + picture.shape[0], x : x + picture.shape[1]] = picture
    return np.concatenate(rows)
