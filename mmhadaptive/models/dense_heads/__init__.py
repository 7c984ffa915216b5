"""Detection heads, registered in mmdet's MODELS."""

from mmhadaptive.optional import MMCV_OPERATORS, needs

# Without them mmdet fails at the first prediction.
with needs(*MMCV_OPERATORS, user=__name__):
    import mmcv._ext  # noqa: F401

from .focal_ssd_head import FocalSSDHead

__all__ = ["FocalSSDHead"]
