"""A data set whose images stay in memory and leave it by the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.device import get_device
from mmengine.registry import FUNCTIONS
from mmpretrain.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset

Batch = dict[str, Tensor]


@DATASETS.register_module()
class InMemoryDataset(Dataset):
    """All images of a data set as one uint8 tensor, on the GPU where there is one.

    The loader asks for a whole batch at once and gets one indexed copy: no worker, no image by
    itself, no transfer to the GPU. It is to have ``num_workers=0`` and
    ``collate_fn=dict(type='whole_batch')``; the model is to have a
    ``BatchAugmentPreprocessor``, which augments and enlarges the batch on its device.

    Args:
        dataset: Config of a data set with ``images`` ``(N, H, W, 3)`` uint8 RGB and ``labels``
            ``(N,)``, such as :class:`CIFAR100Files`. Its pipeline is not used.
        device: Where the images stay; by default the GPU if there is one, else the CPU.

    A batch is ``dict(images=(B, 3, H, W) uint8 RGB, labels=(B,) int64)`` on the device.

    Raises:
        TypeError: The data set has no such images.
    """

    def __init__(self, dataset: dict, device: str | None = None) -> None:
        source = DATASETS.build(dataset)
        source.full_init()
        images, labels = getattr(source, "images", None), getattr(source, "labels", None)
        if images is None or labels is None:
            raise TypeError(
                f"{type(source).__name__} does not hold its images and labels in arrays"
            )
        self.metainfo = source.metainfo
        device = torch.device(device or get_device())
        # Bicubic enlargement is faster in this layout than in channels_last.
        self.images = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous()
        self.labels = torch.from_numpy(labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch of these images."""
        chosen = torch.as_tensor(indices, device=self.labels.device)
        return dict(images=self.images[chosen], labels=self.labels[chosen])


@FUNCTIONS.register_module()
def whole_batch(batch: Batch) -> Batch:
    """Collate what :class:`InMemoryDataset` returns: it is a batch already."""
    return batch
