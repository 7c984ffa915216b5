"""Layers of Hadaptive-Net, registered in mmengine's MODELS."""

from .adaptive_cross_hadamard import AdaptiveCrossHadamard
from .bottleneck import AdaptiveBottleneck, GhostExpansion
from .dynamic_norm import DyAlge, DynamicNorm, DySig, DySoft
from .gumbel_top_k import gumbel_top_k, top_k
from .temperature import AdaptiveTemperature, adapt_temperature, adaptive_layers

__all__ = [
    "AdaptiveBottleneck",
    "AdaptiveCrossHadamard",
    "AdaptiveTemperature",
    "DyAlge",
    "DySig",
    "DySoft",
    "DynamicNorm",
    "GhostExpansion",
    "adapt_temperature",
    "adaptive_layers",
    "gumbel_top_k",
    "top_k",
]
