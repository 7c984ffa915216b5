"""What mmcv calls in ``mmcv._ext``, by the names and arguments of mmcv's compiled module.

Non-maximum suppression, focal losses and RoIAlign (average) compute, on any device. Any other
operator is there too, for mmcv asks for all of them when it is imported, and raises when called.
"""

from __future__ import annotations

from collections.abc import Callable

from .focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)
from .missing import missing
from .nms import nms, nms_match, softnms
from .roi_align import roi_align_backward, roi_align_forward

__all__ = [
    "get_compiler_version",
    "get_compiling_cuda_version",
    "nms",
    "nms_match",
    "roi_align_backward",
    "roi_align_forward",
    "sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward",
    "softmax_focal_loss_backward",
    "softmax_focal_loss_forward",
    "softnms",
]


def get_compiler_version() -> str:
    """What reports of an environment show as the compiler of mmcv."""
    return "none (operators of mmhadaptive)"


def get_compiling_cuda_version() -> str:
    """What reports of an environment show as the CUDA version of mmcv."""
    return "not available"


def __getattr__(name: str) -> Callable:
    """An operator that is not provided: it raises NotImplementedError when it is called."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def operator(*args, **kwargs):
        raise missing(name)

    operator.__name__ = name
    return operator
