"""Evaluation: importing this package registers its metrics."""

from .coco_ids import CocoIds
from .coco_predictions import CocoPredictions
from .det_mean_iou import DetMeanIoU
from .named_coco_metric import NamedCocoMetric

__all__ = ["CocoIds", "CocoPredictions", "DetMeanIoU", "NamedCocoMetric"]
