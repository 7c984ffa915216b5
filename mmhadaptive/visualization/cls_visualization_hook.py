"""Pictures of classified images in their colours."""

from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.engine import VisualizationHook
from mmpretrain.registry import HOOKS
from mmpretrain.structures import DataSample


@HOOKS.register_module()
class ClsVisualizationHook(VisualizationHook):
    """mmpretrain's ``VisualizationHook`` for images that were read as BGR, and for whole batches.

    mmpretrain's takes what the pipeline read for RGB, which swaps red and blue
    (open-mmlab/mmpretrain issue 1799), and does not know the batches of ``InMemoryDataset``.

    Args:
        kwargs: See mmpretrain's ``VisualizationHook``.
    """

    def _draw_samples(
        self,
        batch_idx: int,
        data_batch: dict,
        data_samples: Sequence[DataSample],
        step: int = 0,
    ) -> None:
        if "images" in data_batch:
            images = data_batch["images"]
        else:
            images = [image.flip(0) for image in data_batch["inputs"]]
        super()._draw_samples(batch_idx, dict(inputs=images), data_samples, step)
