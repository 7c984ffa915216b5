"""The two halves of a training set."""

from __future__ import annotations

import torch


def halves(length: int, seed: int) -> tuple[list[int], list[int]]:
    """Two disjoint random halves of ``range(length)``, ascending; the first is the larger one."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed)).tolist()
    middle = (length + 1) // 2
    return sorted(order[:middle]), sorted(order[middle:])
