"""mmpretrain's networks as the paper's authors have them, registered in mmpretrain's MODELS."""

from mmhadaptive.optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from .mobilenet_v3 import UnroundedMobileNetV3
    from .mobilevit import DepthwiseMobileViT

__all__ = ["DepthwiseMobileViT", "UnroundedMobileNetV3"]
