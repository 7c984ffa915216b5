"""Exported models against PyTorch, on pictures: :func:`check_onnx`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .networks import DetectorBoxes, RawNetwork
from .onnxruntime_library import load_session

# Boxes within this many pixels, and of the same class, are the same.
SAME = 1.0


@torch.no_grad()
def check_onnx(
    path: str | os.PathLike, model: nn.Module, inputs: np.ndarray, batch: int
) -> dict[str, dict[str, Any]]:
    """The largest differences between an ONNX file and its model.

    Args:
        path: The file.
        model: The model it was exported from, in evaluation mode on the CPU.
        inputs: (N, 3, H, W), float32, normalised.
        batch: How many at once, which the file takes.

    Returns:
        Of each output ``error``, the largest absolute difference, and ``largest``, the largest
        absolute value. Of detections, ``error`` is that of pairs of the same class less than a
        pixel apart; ``expected`` is how many PyTorch has and ``unpaired`` how many have no partner
        on either side.
    """
    session = load_session(path)
    names = [each.name for each in session.get_outputs()]
    report: dict[str, dict[str, Any]] = {}
    for start in range(0, len(inputs), batch):
        # Where the last ones do not fill a batch, the first ones do.
        numbers = np.arange(start, start + batch) % len(inputs)
        x = inputs[numbers]
        found = dict(zip(names, session.run(None, {"image": x}), strict=True))
        if "images" in names:
            _compare_detections(report, found, _predictions(model, torch.from_numpy(x)))
            continue
        decoded = names == ["boxes", "scores"]
        network = DetectorBoxes(model, x.shape[2:]) if decoded else RawNetwork(model)
        for name, truth in zip(names, network(torch.from_numpy(x)), strict=True):
            _note(report, name, found[name], truth.numpy())
    return report


def _note(report: dict, name: str, found: np.ndarray, truth: np.ndarray) -> None:
    entry = report.setdefault(name, dict(error=0.0, largest=0.0))
    if truth.size:
        entry["error"] = max(entry["error"], float(np.abs(found - truth).max()))
        entry["largest"] = max(entry["largest"], float(np.abs(truth).max()))


def _predictions(model: nn.Module, x: Tensor) -> Sequence:
    """What mmdet predicts, in pixels of the input."""
    size = tuple(x.shape[2:])
    metas = [dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)) for _ in x]
    maps = model(x, mode="tensor")
    return model.bbox_head.predict_by_feat(*maps, batch_img_metas=metas, rescale=False)


def _compare_detections(report: dict, found: dict, expected: Sequence) -> None:
    counts = report.setdefault("detections", dict(expected=0, unpaired=0))
    for i, truth in enumerate(expected):
        mine = found["images"] == i
        boxes, scores = found["boxes"][mine], found["scores"][mine]
        true_boxes, true_scores = truth.bboxes.numpy(), truth.scores.numpy()
        apart = np.abs(true_boxes[:, None] - boxes[None]).max(-1)
        apart[truth.labels.numpy()[:, None] != found["labels"][mine][None]] = np.inf
        pairs = []
        for row in range(len(true_boxes)):
            column = int(apart[row].argmin()) if apart.shape[1] else -1
            if column >= 0 and apart[row, column] < SAME:
                pairs.append((row, column))
                apart[:, column] = np.inf
        rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        _note(report, "boxes", boxes[columns], true_boxes[rows])
        _note(report, "scores", scores[columns], true_scores[rows])
        counts["expected"] += len(true_boxes)
        counts["unpaired"] += len(true_boxes) + len(boxes) - 2 * len(pairs)
