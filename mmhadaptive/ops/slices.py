"""Products of fixed channels by slices, for graphs that may not gather."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def sliced_channels(x: Tensor, channels: Sequence[int]) -> Tensor:
    """The channels of x (N, C, H, W) by number, (N, k, H, W)."""
    if list(channels) == list(range(len(channels))):
        return x[:, : len(channels)]
    return torch.cat([x[:, i : i + 1] for i in channels], dim=1)


def sliced_products(z: Tensor, extra: int = 0) -> Tensor:
    """All products of two channels of z (N, k, H, W), in the order of the operator, and then the
    square of the first, ``extra`` times."""
    rows = [z[:, i : i + 1] * z[:, i + 1 :] for i in range(z.shape[1] - 1)]
    squares = [z[:, :1] * z[:, :1]] * extra
    return torch.cat([*rows, *squares], dim=1)
