"""The MobileNetV3 of Tables 2 and 5."""

from __future__ import annotations

from mmpretrain.models.backbones import MobileNetV3
from mmpretrain.models.utils import InvertedResidual, SELayer
from mmpretrain.registry import MODELS


@MODELS.register_module()
class UnroundedMobileNetV3(MobileNetV3):
    """mmpretrain's MobileNetV3, with squeezes of a quarter of the width as it is, rounded down.

    mmpretrain's are multiples of 8. Otherwise, and in its arguments, it is mmpretrain's.
    """

    def _make_layer(self) -> list[str]:
        names = super()._make_layer()
        for block in self.modules():
            if isinstance(block, InvertedResidual) and block.with_se:
                width = block.linear_conv.in_channels
                act_cfg = (dict(type="ReLU"), dict(type="HSigmoid"))
                block.se = SELayer(width, squeeze_channels=width // 4, act_cfg=act_cfg)
        return names
