"""Networks. Detection heads live in ``mmhadaptive.models.dense_heads``, which needs mmdet."""

from .backbones import HadaptiveNet

__all__ = ["HadaptiveNet"]
