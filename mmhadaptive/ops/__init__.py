"""The operators. Needs torch alone."""

from .cross_hadamard import cross_hadamard
from .depthwise_conv2d import depthwise_conv2d
from .reference import cross_hadamard_reference

__all__ = ["cross_hadamard", "cross_hadamard_reference", "depthwise_conv2d"]
