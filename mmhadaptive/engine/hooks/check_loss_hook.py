"""End a training that has diverged."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class CheckLossHook(Hook):
    """Look now and then whether the loss is finite.

    mmdet's ``CheckInvalidLossHook`` for classification too, where there may be no mmdet. It looks
    before mmengine's ``CheckpointHook`` writes.

    Args:
        interval: Iterations between two looks; each waits for the GPU.

    Raises:
        FloatingPointError: The loss is infinite or not a number.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.every_n_train_iters(runner, self.interval) and not outputs["loss"].isfinite():
            raise FloatingPointError(
                f"the loss is {outputs['loss'].item()} at iteration {runner.iter + 1}"
            )
