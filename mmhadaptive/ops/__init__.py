"""The cross-Hadamard operator. Needs torch alone."""

from .cross_hadamard import cross_hadamard
from .reference import cross_hadamard_reference

__all__ = ["cross_hadamard", "cross_hadamard_reference"]
