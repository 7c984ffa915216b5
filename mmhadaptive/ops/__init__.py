"""The operators. Needs torch alone."""

from .cross_hadamard import cross_hadamard
from .cross_hadamard_depthwise import cross_hadamard_depthwise, cross_hadamard_depthwise_reference
from .depthwise_conv2d import depthwise_conv2d
from .fused_blocks import fused_blocks, fused_blocks_reference
from .reference import cross_hadamard_reference

__all__ = [
    "cross_hadamard",
    "cross_hadamard_depthwise",
    "cross_hadamard_depthwise_reference",
    "cross_hadamard_reference",
    "depthwise_conv2d",
    "fused_blocks",
    "fused_blocks_reference",
]
