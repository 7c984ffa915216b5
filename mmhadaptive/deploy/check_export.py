"""Exported models against PyTorch, on pictures: :func:`check_onnx`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .networks import DetectorBoxes, RawNetwork, task_of
from .onnxruntime_library import load_session

# Boxes within this many pixels, and of the same class, are the same.
SAME = 1.0


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

    def run(x: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, {"image": x}), strict=True))

    return _check(run, model, inputs, batch)


def check_pt2(
    path: str | os.PathLike, model: nn.Module, inputs: np.ndarray, batch: int, compiled: bool
) -> dict[str, dict[str, Any]]:
    """The same of a ``.pt2`` file, ``compiled`` by AOTInductor or not."""
    if compiled:
        program = torch._inductor.aoti_load_package(str(path))
    else:
        program = torch.export.load(path).module()

    def run(x: np.ndarray) -> dict[str, np.ndarray]:
        found = [t.numpy() for t in program(torch.from_numpy(x))]
        decoded = len(found) == 2 and found[0].ndim == 3 and task_of(model) == "detector"
        network = DetectorBoxes(model, x.shape[2:]) if decoded else RawNetwork(model)
        return dict(zip(network.names(found), found, strict=True))

    return _check(run, model, inputs, batch)


@torch.no_grad()
def _check(run: Callable, model: nn.Module, inputs: np.ndarray, batch: int) -> dict:
    report: dict[str, dict[str, Any]] = {}
    for start in range(0, len(inputs), batch):
        # Where the last ones do not fill a batch, the first ones do.
        x = inputs[np.arange(start, start + batch) % len(inputs)]
        found = run(x)
        if "images" in found:
            _compare_detections(report, found, _predictions(model, torch.from_numpy(x)))
            continue
        decoded = list(found) == ["boxes", "scores"]
        network = DetectorBoxes(model, x.shape[2:]) if decoded else RawNetwork(model)
        truths = network(torch.from_numpy(x))
        for (name, y), truth in zip(found.items(), truths, strict=True):
            _note(report, name, y, truth.numpy())
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
