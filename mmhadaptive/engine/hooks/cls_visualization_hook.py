"""Pictures of classified images in their colours.

It needs mmpretrain, so a config names this module in ``custom_imports``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmhadaptive.optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from mmpretrain.engine import VisualizationHook
    from mmpretrain.registry import HOOKS
    from mmpretrain.structures import DataSample


class _Reversed:
    """Images whose channels are reversed one by one, as they are asked for."""

    def __init__(self, images: Sequence[Tensor]) -> None:
        self.images = images

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i].flip(0)


@HOOKS.register_module()
class ClsVisualizationHook(VisualizationHook):
    """mmpretrain's ``VisualizationHook`` for images that were read as BGR, and for whole batches.

    mmpretrain's takes what the pipeline read for RGB, which swaps red and blue
    (open-mmlab/mmpretrain issue 1799), and knows neither the batches of ``InMemoryDataset`` nor
    those of test-time augmentation, of which this one draws the first view.

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
            images = data_batch["inputs"]
            if isinstance(images[0], Sequence) or images[0].dim() == 4:
                # The views of test-time augmentation, each a batch of its own.
                images = images[0]
            images = _Reversed(images)
        super()._draw_samples(batch_idx, dict(inputs=images), data_samples, step)
