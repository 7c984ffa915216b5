"""Transforms of pictures with boxes, registered in mmdet's TRANSFORMS."""

from .batched_min_iou_random_crop import BatchedMinIoURandomCrop

__all__ = ["BatchedMinIoURandomCrop"]
