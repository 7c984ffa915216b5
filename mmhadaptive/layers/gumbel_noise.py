"""Gumbel noise: what is added to logits so that their maximum is a draw from their softmax."""

from __future__ import annotations

import torch
from torch import Tensor


def gumbel_noise(like: Tensor) -> Tensor:
    """Independent draws of the standard Gumbel distribution, all finite.

    Args:
        like: A tensor that gives shape, device and dtype (float32 or float64).
    """
    draws = torch.empty_like(like, memory_format=torch.contiguous_format).exponential_()
    # A draw of exactly zero would make the noise infinite and the softmax NaN.
    return -draws.clamp_min(torch.finfo(draws.dtype).tiny).log()
