"""Backbones, registered in mmengine's MODELS for mmdet and mmpretrain alike."""

from .hadaptive_net import ARCHITECTURES, HadaptiveNet

__all__ = ["ARCHITECTURES", "HadaptiveNet"]
