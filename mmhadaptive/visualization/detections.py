"""Detections on a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_detections(
    picture: np.ndarray, detections: dict, classes: Sequence[str], score_thr: float
) -> np.ndarray:
    """A picture with boxes, class names and scores, by mmdet.

    Args:
        picture: (H, W, 3), uint8.
        detections: Arrays ``bboxes`` (M, 4), x1, y1, x2, y2 in pixels, ``scores`` and ``labels``.
        classes: The names of the labels.
        score_thr: Lowest score that is drawn.

    Returns:
        The picture, with its channels in the order that it came in.
    """
    import torch
    from mmdet.structures import DetDataSample
    from mmdet.visualization import DetLocalVisualizer
    from mmengine.structures import InstanceData

    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = dict(classes=list(classes))
    sample = DetDataSample()
    sample.pred_instances = InstanceData(
        **{name: torch.from_numpy(np.ascontiguousarray(t)) for name, t in detections.items()}
    )
    visualizer.add_datasample("picture", picture, sample, draw_gt=False, pred_score_thr=score_thr)
    return visualizer.get_image()
