"""Networks. Detection heads are in ``dense_heads``, which needs mmdet; data preprocessors in
``data_preprocessors`` and networks like mmpretrain's in ``variants``, which need mmpretrain.
"""

from .backbones import HadaptiveNet
from .blocks import build_block
from .merging import merge_branches
from .necks import ACHPAFPN
from .replacement import replace_blocks

__all__ = ["ACHPAFPN", "HadaptiveNet", "build_block", "merge_branches", "replace_blocks"]
