"""Layers of Hadaptive-Net, registered in mmengine's MODELS."""

from .ach_plugin import ACHPlugin
from .adaptive_cross_hadamard import AdaptiveCrossHadamard, selected_for_width
from .bottleneck import ACHBottleneck, AdaptiveBottleneck
from .depthwise_conv import DepthwiseConv2d
from .dynamic_norm import DyAlge, DynamicNorm, DySig, DySoft
from .expansion import GhostExpansion, PointwiseExpansion, ach_expansion
from .feed_forward import ACHFeedForward, ACHTokenExpansion
from .gumbel_noise import gumbel_noise
from .gumbel_top_k import gumbel_top_k, straight_through, top_k
from .recorded_choices import choosing_layers, count_choices, record_choices
from .selection_entropy import SelectionEntropy, selection_entropy
from .temperature import AdaptiveTemperature, adapt_temperature, adaptive_layers

__all__ = [
    "ACHBottleneck",
    "ACHFeedForward",
    "ACHPlugin",
    "ACHTokenExpansion",
    "AdaptiveBottleneck",
    "AdaptiveCrossHadamard",
    "AdaptiveTemperature",
    "DepthwiseConv2d",
    "DyAlge",
    "DySig",
    "DySoft",
    "DynamicNorm",
    "GhostExpansion",
    "PointwiseExpansion",
    "SelectionEntropy",
    "ach_expansion",
    "adapt_temperature",
    "adaptive_layers",
    "choosing_layers",
    "count_choices",
    "gumbel_noise",
    "gumbel_top_k",
    "record_choices",
    "selected_for_width",
    "selection_entropy",
    "straight_through",
    "top_k",
]
