"""Channel scores: one logit for every channel, from which the channels are chosen."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ECAScores(nn.Module):
    """Logits of efficient channel attention: a 1-D convolution over pooled channels, no sigmoid.

    Args:
        kernel_size: Width of the convolution over channels; odd.

    Shapes:
        ``(N, C, H, W)`` to ``(N, C)``.
    """

    def __init__(self, kernel_size: int = 5) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    @property
    def weight(self) -> nn.Parameter:
        """The parameter whose gradient drives the temperature (Algorithm 1)."""
        return self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.mean((2, 3)).unsqueeze(1)).squeeze(1)


class StaticScores(nn.Module):
    """Learned scores that do not depend on the input (the ablation "without ECA" of Fig. 3).

    Args:
        num_channels: Number of channels ``C``.

    Shapes:
        ``(N, C, H, W)`` to ``(N, C)``.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        # Random, because equal scores would leave the first choice to the order of the channels.
        self.weight = nn.Parameter(torch.randn(num_channels) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.expand(x.shape[0], -1)
