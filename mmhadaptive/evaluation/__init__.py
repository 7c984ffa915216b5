"""Evaluation: importing this package registers its metrics."""

from .named_coco_metric import NamedCocoMetric

__all__ = ["NamedCocoMetric"]
