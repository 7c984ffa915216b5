"""mmdet's assignment of default boxes to objects by IoU, for all pictures of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules import BboxOverlaps2D, MaxIoUAssigner
from torch import Tensor

# So many IoUs are in memory at once: on a CPU as its cache holds, on a GPU some 16 MB.
MAX_PAIRS = {"cpu": 2**17, "cuda": 2**22}


def can_assign_batch(assigner: object) -> bool:
    """Whether :func:`assign_batch` does what the assigner does."""
    if type(assigner) is not MaxIoUAssigner:
        return False
    overlaps = assigner.iou_calculator
    return (
        type(overlaps) is BboxOverlaps2D
        and overlaps.dtype is None
        and isinstance(assigner.neg_iou_thr, float | tuple)
        and assigner.ignore_iof_thr <= 0
        and assigner.gpu_assign_thr <= 0
        and assigner.perm_repeat_gt_cfg is None
    )


def assign_batch(
    assigner: MaxIoUAssigner,
    priors: Tensor,
    boxes: Sequence[Tensor],
    valid: Tensor | None = None,
) -> Tensor:
    """Assign an object of its picture, or background, to every default box of every picture.

    The rules, and their order where boxes tie, are those of ``MaxIoUAssigner``:

    1. Of a default box, the object of the highest IoU, the first of equal ones, if this reaches
       ``pos_iou_thr``; background if it is below ``neg_iou_thr``, or within that range.
    2. With ``match_low_quality``, of an object whose highest IoU reaches ``min_pos_iou``, the first
       default box of this IoU, or with ``gt_max_assign_all`` each of them. This overrides 1, and a
       later object an earlier one.

    All objects are compared with all default boxes, without padding; but what is decided, is
    decided of the few pairs whose IoU reaches a threshold.

    Args:
        assigner: One with :func:`can_assign_batch`.
        priors: Default boxes x1, y1, x2, y2, ``(A, 4)``.
        boxes: Of each picture, the boxes of its objects, ``(k, 4)``.
        valid: Which default boxes a picture has, ``(N, A)``; all without it.

    Returns:
        Integers ``(N, A)``: 1 + the index of an object among those of all pictures, 0 for
        background, -1 for a default box that does not count.
    """
    counts = torch.tensor([len(each) for each in boxes], device=priors.device)
    images = torch.arange(len(boxes), device=priors.device).repeat_interleave(counts)
    objects = torch.cat(list(boxes))
    negative = assigner.neg_iou_thr
    lowest, highest = negative if isinstance(negative, tuple) else (0.0, negative)
    # Below it, IoUs make no difference.
    floor = min(assigner.pos_iou_thr, lowest if lowest > 0 else highest)
    near, nearest = _candidates(assigner, priors, objects, images, valid, floor)

    size = len(boxes) * len(priors)
    row, column, overlaps = near
    cell = images[row] * len(priors) + column
    best = overlaps.new_zeros(size).scatter_reduce_(0, cell, overlaps, "amax")
    background = (best >= lowest) & (best < highest)
    assigned = torch.where(background, 0, -1)
    assigned.view(len(boxes), -1)[counts == 0] = 0
    first = (overlaps >= assigner.pos_iou_thr) & (overlaps == best[cell])
    winner = row.new_full((size,), len(objects))
    winner.scatter_reduce_(0, cell[first], row[first], "amin")
    assigned = torch.where(winner < len(objects), winner + 1, assigned)

    if assigner.match_low_quality:
        row, column, overlaps = nearest
        enough = overlaps >= assigner.min_pos_iou
        row, column = row[enough], column[enough]
        cell = images[row] * len(priors) + column
        assigned_last = row.new_full((size,), -1).scatter_reduce_(0, cell, row, "amax")
        assigned = torch.where(assigned_last >= 0, assigned_last + 1, assigned)
    assigned = assigned.view(len(boxes), len(priors))
    return assigned if valid is None else assigned.masked_fill_(~valid, -1)


def _candidates(
    assigner: MaxIoUAssigner,
    priors: Tensor,
    objects: Tensor,
    images: Tensor,
    valid: Tensor | None,
    floor: float,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Object, default box and IoU of the pairs from ``floor`` on, and of each object's nearest."""
    near, nearest = [], []
    step = max(1, MAX_PAIRS.get(priors.device.type, 2**20) // max(1, len(priors)))
    for start in range(0, max(1, len(objects)), step):
        rows = slice(start, start + step)
        overlaps = assigner.iou_calculator(objects[rows], priors)
        if valid is not None:
            overlaps.masked_fill_(~valid[images[rows]], -1)
        row, column = (overlaps >= floor).nonzero(as_tuple=True)
        near.append((row + start, column, overlaps[row, column]))
        if not assigner.match_low_quality or not len(overlaps):
            continue
        highest, column = overlaps.max(dim=1)
        if assigner.gt_max_assign_all:
            row, column = (overlaps == highest[:, None]).nonzero(as_tuple=True)
        else:
            row = torch.arange(len(overlaps), device=overlaps.device)
        nearest.append((row + start, column, highest[row]))
    return _join(near), _join(nearest or near)


def _join(parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))
