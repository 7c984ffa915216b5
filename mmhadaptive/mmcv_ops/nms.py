"""Non-maximum suppression of boxes, plain and soft.

Boxes are (n, 4) with the corners x1, y1, x2, y2 in pixels, scores (n,). A box is x2 - x1 + offset
wide. As in mmcv, overlaps are computed in float32 and compared with a threshold in float32, so that
decisions are the same to the last bit. All is computed on the CPU, but for torchvision's operator;
results go back to the device of the boxes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

# Candidates of which all overlaps are taken at once.
BLOCK = 64


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """The boxes that greedy suppression keeps, from the highest score down.

    A box goes if its intersection over union with a kept box of a higher score is above
    ``iou_threshold``. torchvision's operator does it where there is one for the device.

    Returns:
        Indices of the kept boxes, int64, on the device of ``boxes``.
    """
    # Unstable, as mmcv's, which makes it the same among equal scores.
    ordered = scores.detach().sort(0, descending=True).indices
    if offset == 0 and torchvision_has_nms(boxes.device.type):
        ranks = torch.arange(len(ordered), 0, -1, device=boxes.device).float()
        threshold = float(np.float32(iou_threshold))  # Its threshold is a double.
        return ordered[torch.ops.torchvision.nms(boxes[ordered].float(), ranks, threshold)]
    order = ordered.cpu().numpy()
    columns = box_columns(boxes, offset)[:, order]
    kept = []
    while order.size:
        block, rest = columns[:, :BLOCK], columns[:, BLOCK:]
        overlaps = overlap(block[:, :, None], block[:, None], offset) > np.float32(iou_threshold)
        alive = np.ones(len(overlaps), dtype=bool)
        for row in range(len(overlaps)):
            if alive[row]:
                alive[row + 1 :] &= ~overlaps[row, row + 1 :]
        kept.append(order[:BLOCK][alive])
        overlaps = overlap(block[:, alive, None], rest[:, None], offset)
        clear = ~(overlaps > np.float32(iou_threshold)).any(0)
        columns, order = rest[:, clear], order[BLOCK:][clear]
    indices = np.concatenate(kept) if kept else order
    return torch.from_numpy(indices).to(boxes.device)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """The groups of greedy suppression: each kept box, and those that it suppresses.

    Here a box is suppressed from ``iou_threshold`` on, the threshold included.

    Args:
        dets: Boxes and scores, (n, 5).
        iou_threshold: The least intersection over union of a group.

    Returns:
        Indices of each group by falling score, the kept box first.
    """
    order = dets[:, 4].sort(0, descending=True).indices.numpy()
    columns = box_columns(dets[:, :4], 0)[:, order]
    groups = []
    while order.size:
        joined = overlap(columns[:, :1], columns[:, 1:], 0) >= np.float32(iou_threshold)
        groups.append([int(order[0]), *order[1:][joined].tolist()])
        columns, order = columns[:, 1:][:, ~joined], order[1:][~joined]
    return groups


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft suppression: a chosen box lowers the scores of those that overlap it.

    Until none is left, the box of the highest score is chosen, and the score of each other one is
    multiplied by a weight of their intersection over union o: by 0 from ``iou_threshold`` on
    (method 0), by 1 - o from there on (1), or by exp(-o^2 / sigma) (2). Boxes whose score falls
    below ``min_score`` go.

    Args:
        boxes: (n, 4).
        scores: (n,).
        dets: (n, 5); the chosen boxes and their scores at that time are written to its first rows.
        iou_threshold: For methods 0 and 1.
        sigma: For method 2.
        min_score: The least score.
        method: 0, 1 or 2.
        offset: 0 or 1.

    Returns:
        Indices of the chosen boxes in this order, int64.
    """
    count = len(boxes)
    columns = box_columns(boxes, offset).copy()
    scores = scores.detach().cpu().float().numpy().copy()
    indices = np.arange(count)
    first = 0
    while first < count:
        best = first + highest(scores[first:count])
        for array in (columns, scores, indices):
            array[..., [first, best]] = array[..., [best, first]]
        first += 1
        others = slice(first, count)
        overlaps = overlap(columns[:, first - 1, None], columns[:, others], offset)
        scores[others] *= soft_weights(overlaps, iou_threshold, sigma, method)
        gone = scores[others] < np.float32(min_score)
        if gone.any():
            # mmcv fills each gap with the last box that stays, on which the choice among equal
            # scores depends.
            left = first + int((~gone).sum())
            gaps = first + np.flatnonzero(gone[: left - first])
            fill = left + np.flatnonzero(~gone[left - first :])[::-1]
            for array in (columns, scores, indices):
                array[..., gaps] = array[..., fill]
            count = left
    chosen = np.concatenate([columns[:4, :count], scores[None, :count]]).T
    dets[:count].copy_(torch.from_numpy(chosen))
    return torch.from_numpy(indices[:count])


def highest(scores: np.ndarray) -> int:
    """The first index of the highest score; as in mmcv, a NaN is chosen only in the first place."""
    index = int(scores.argmax())
    if np.isnan(scores[index]):
        index = 0 if np.isnan(scores[0]) else int(np.nanargmax(scores))
    return index


def soft_weights(
    overlaps: np.ndarray, iou_threshold: float, sigma: float, method: int
) -> np.ndarray:
    """The factors of soft suppression, in float32."""
    if method == 2:
        exponents = -(overlaps * overlaps) / np.float32(sigma)
        return np.exp(exponents.astype(np.float64)).astype(np.float32)
    lowered = np.float32(0) if method == 0 else np.float32(1) - overlaps
    return np.where(overlaps >= np.float32(iou_threshold), lowered, np.float32(1))


@np.errstate(over="ignore", invalid="ignore")
def box_columns(boxes: Tensor, offset: int) -> np.ndarray:
    """x1, y1, x2, y2 and the area of (n, 4) boxes as rows of a (5, n) array of float32."""
    x1, y1, x2, y2 = boxes.detach().cpu().float().numpy().T
    return np.stack([x1, y1, x2, y2, (x2 - x1 + offset) * (y2 - y1 + offset)])


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def overlap(a: np.ndarray, b: np.ndarray, offset: int) -> np.ndarray:
    """Intersection over union of boxes as ``box_columns`` gives them, broadcast; NaN for 0 / 0."""
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) + offset
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]) + offset
    shared = np.fmax(width, 0) * np.fmax(height, 0)
    return shared / (a[4] + b[4] - shared)


@cache
def torchvision_has_nms(device: str) -> bool:
    """Whether torchvision is installed with an operator for this type of device."""
    try:
        import torchvision  # noqa: F401  registers its operators
    except (ImportError, RuntimeError):  # The latter beside a torch for which it was not built.
        return False
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    try:
        return has_kernel("torchvision::nms", device.upper())
    except RuntimeError:  # There is no such operator, or no such key.
        return False
