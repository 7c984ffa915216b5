"""The MobileViT of Table 8."""

from __future__ import annotations

from typing import ClassVar

from mmcv.cnn import ConvModule
from mmpretrain.models.backbones import MobileViT
from mmpretrain.registry import MODELS
from torch import nn


@MODELS.register_module()
class DepthwiseMobileViT(MobileViT):
    """mmpretrain's MobileViT with a depthwise local convolution.

    Nor do normalisations follow the transformers, and the first two stages of ``xx_small`` widen
    their blocks four times, as those of the others. Otherwise it is mmpretrain's, whose attention
    has four heads. The paper's stem is as wide as the first stage: ``stem_channels=32``, but 16 in
    ``xx_small``.
    """

    arch_settings: ClassVar[dict[str, list]] = {
        **MobileViT.arch_settings,
        "xx_small": [
            ["mobilenetv2", 16, 1, 1, 4],
            ["mobilenetv2", 24, 2, 3, 4],
            *MobileViT.arch_settings["xx_small"][2:],
        ],
    }

    @staticmethod
    def make_mobilevit_layer(
        in_channels: int, out_channels: int, *args, **kwargs
    ) -> tuple[nn.Sequential, int]:
        layer, out_channels = MobileViT.make_mobilevit_layer(
            in_channels, out_channels, *args, **kwargs
        )
        block = layer[1]
        block.local_rep[0] = ConvModule(
            out_channels,
            out_channels,
            3,
            padding=1,
            groups=out_channels,
            norm_cfg=dict(type="BN"),
            act_cfg=dict(type="Swish"),
        )
        # The last is the normalisation.
        block.global_rep = block.global_rep[:-1]
        return layer, out_channels
