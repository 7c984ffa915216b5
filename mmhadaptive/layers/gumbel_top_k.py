"""Gumbel top-k choice of channels, and the straight-through gradient of a choice."""

from __future__ import annotations

import torch
from torch import Tensor

from .gumbel_noise import gumbel_noise


def straight_through(hard: Tensor | float, soft: Tensor) -> Tensor:
    """``hard`` itself, to the last bit, with the gradient of ``soft`` (eq. 6)."""
    # Written so that the two soft terms cancel without rounding.
    return hard + (soft - soft.detach())


def gumbel_top_k(scores: Tensor, num_selected: int, tau: Tensor | float) -> tuple[Tensor, Tensor]:
    """Draw ``num_selected`` channels of each sample without replacement.

    With ``M = softmax((scores + g) / tau)`` and Gumbel noise ``g`` (eq. 4), the chosen channels are
    the top-k of ``M`` (eq. 5), which are those of ``scores + g``. The gate is the straight-through
    estimator ``hard - M.detach() + M`` at the chosen channels: its value is exactly 1 and its
    gradient is that of ``M`` (eq. 6).

    Args:
        scores: Logits of shape ``(N, C)``.
        num_selected: Number ``k`` of channels to choose, at most ``C``.
        tau: Temperature; a scalar or a tensor of one element.

    Returns:
        ``index`` of shape ``(N, k)``, int64, in order of rank, and ``gate`` of shape ``(N, k)``,
        float32 or the dtype of ``scores`` where that is wider.
    """
    scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    noisy = scores + gumbel_noise(scores)
    # At a low temperature all but a few entries of M underflow to zero.
    index = noisy.topk(num_selected, dim=1).indices
    soft = torch.softmax(noisy / tau, dim=1).gather(1, index)
    return index, straight_through(1, soft)


def top_k(scores: Tensor, num_selected: int) -> tuple[Tensor, Tensor]:
    """The choice at inference: the channels of the highest scores, without noise.

    Shapes and dtypes are those of :func:`gumbel_top_k`; the gate carries no gradient.
    """
    index = scores.topk(num_selected, dim=1).indices
    return index, scores.new_ones(index.shape)
