"""Evaluation: importing this package registers its metrics."""

from .coco_ids import CocoIds
from .named_coco_metric import NamedCocoMetric

__all__ = ["CocoIds", "NamedCocoMetric"]
