"""Default boxes that are kept from step to step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules import AnchorGenerator
from torch import Tensor

MAX_KEPT = 8


class PriorCache:
    """The default boxes of all maps, kept for the last few sizes of the maps.

    It is no part of a state dict, and its copies and pickles hold no boxes.
    """

    def __init__(self, generator: AnchorGenerator) -> None:
        self.generator = generator
        self._kept = {}

    def __call__(
        self,
        sizes: Sequence[tuple[int, int]],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Default boxes ``(A, 4)`` for maps of ``sizes``; not to be written to."""
        key = (tuple(map(tuple, sizes)), torch.device(device), dtype)
        if key not in self._kept:
            while len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            boxes = self.generator.grid_priors(sizes, dtype=dtype, device=device)
            self._kept[key] = torch.cat(boxes)
        return self._kept[key]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_kept": {}}
