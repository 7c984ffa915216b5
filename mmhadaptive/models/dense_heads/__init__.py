"""Detection heads, registered in mmdet's MODELS."""

from .focal_ssd_head import FocalSSDHead

__all__ = ["FocalSSDHead"]
