"""Checkpoints by the clock, and runs of a limited time."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.fileio import put_text
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmhadaptive.io.user_errors import UserValueError

from ..resumable_train_loop import ResumableTrainLoop
from ..schedule import optim_wrappers

NAME = "latest.pth"


@HOOKS.register_module()
class TimedCheckpointHook(Hook):
    """Write ``latest.pth`` every so many seconds, in the middle of an epoch if need be, and stop
    after so many seconds.

    It needs a :class:`ResumableTrainLoop`, which resumes from there (``tools/train.py --resume``).
    So a run may have a wall-clock limit, and the next one continues it. The checkpoints of the
    epochs' ends stay with mmengine's ``CheckpointHook``. Where gradients are accumulated it waits
    for the optimizer's step, since no checkpoint holds gradients.

    Args:
        save_seconds: Time between two checkpoints.
        stop_seconds: Time from the start of the run after which it writes a checkpoint and ends;
            None for never.
        interval: Iterations between two looks at the clock.

    Raises:
        ValueError: Nothing could resume from its checkpoints: another loop, or a loader that
            cannot begin in the middle of an epoch.
    """

    # After the schedulers have stepped, with mmengine's CheckpointHook.
    priority = "VERY_LOW"

    def __init__(
        self, save_seconds: float = 100, stop_seconds: float | None = None, interval: int = 10
    ) -> None:
        self.save_seconds = save_seconds
        self.stop_seconds = stop_seconds
        self.interval = interval
        self.save = self.stop = False

    def before_run(self, runner) -> None:
        self.started = self.saved = time.monotonic()

    def before_train(self, runner) -> None:
        loop = runner.train_loop
        if not isinstance(loop, ResumableTrainLoop):
            raise UserValueError(
                "TimedCheckpointHook needs train_cfg.type='ResumableTrainLoop', got "
                f"{type(loop).__name__}"
            )
        loop.check_resumable()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self.look_at_the_clock()
        if not self.save or not all(
            wrapper.should_update() for wrapper in optim_wrappers(runner.optim_wrapper)
        ):
            return
        # Writes on the first rank alone; gathers from all.
        runner.save_checkpoint(runner.work_dir, NAME, by_epoch=False)
        if is_main_process():
            # Where mmengine looks for the checkpoint to resume from.
            folder = Path(runner.work_dir)
            put_text(str(folder / NAME), folder / "last_checkpoint")
        self.save = False
        self.saved = time.monotonic()
        if self.stop:
            runner.logger.info(
                f"stopped after {self.saved - self.started:.0f} s at iteration {runner.iter + 1} "
                f"of {runner.max_iters}; --resume continues"
            )
            runner.train_loop.stop_training = True

    def look_at_the_clock(self) -> None:
        """Decide whether the next step is followed by a checkpoint, and whether by the end."""
        now = time.monotonic()
        stop = self.stop_seconds is not None and now - self.started >= self.stop_seconds
        save = stop or now - self.saved >= self.save_seconds
        # The clocks of the ranks differ; the first rank's decides.
        decision = torch.tensor([save, stop], dtype=torch.uint8)
        broadcast(decision)
        self.save, self.stop = decision.bool().tolist()
