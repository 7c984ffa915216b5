"""Networks. Detection heads live in ``mmhadaptive.models.dense_heads``, which needs mmdet."""

from .backbones import HadaptiveNet
from .replacement import replace_blocks

__all__ = ["HadaptiveNet", "replace_blocks"]
