"""End a training that has diverged."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..unwrap import unwrap


@HOOKS.register_module()
class CheckLossHook(Hook):
    """Look now and then, and before each checkpoint, whether the last loss is finite; before a
    checkpoint, also whether the weights are, since a finite loss may have an infinite gradient.

    So a run does not resume from a checkpoint of a training that had diverged. mmdet's
    ``CheckInvalidLossHook`` only looks now and then, and mmpretrain alone does not have it.

    Args:
        interval: Iterations between two looks; each waits for the GPU.

    Raises:
        FloatingPointError: The loss or a weight is infinite or not a number.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self.loss = None
        self.iteration = 0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        # Without a loss nothing is trained, as in mmpretrain's vis_scheduler.
        if outputs is None:
            return
        self.loss = outputs["loss"].detach()
        self.iteration = runner.iter + 1
        if self.every_n_train_iters(runner, self.interval):
            self.check()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self.loss is None:
            return
        self.check()
        for name, weight in unwrap(runner.model).named_parameters():
            if not weight.isfinite().all():
                raise FloatingPointError(f"{name} is not finite after iteration {self.iteration}")

    def check(self) -> None:
        if not self.loss.isfinite():
            raise FloatingPointError(
                f"the loss is {self.loss.item()} at iteration {self.iteration}"
            )
