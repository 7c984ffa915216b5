"""A training loop that resumes in the middle of an epoch."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop
from torch import nn


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, which a checkpoint may leave and enter at any iteration.

    All generators are seeded before each iteration from (seed, rank, iteration), so a run that
    resumes from a checkpoint of :class:`TimedCheckpointHook` sees the batch and draws the numbers
    that an uninterrupted run does, and continues bit for bit on the CPU.

    In the middle of an epoch it needs a :class:`ResumableSampler` and a loader without workers,
    whose random states are their own. With another loader it resumes at the epochs' ends, as
    mmengine does.

    Raises:
        ValueError: A checkpoint of the middle of an epoch, and a loader that cannot begin there.
    """

    def run(self) -> nn.Module:
        """Train; a stop in the middle of an epoch skips what belongs to its end."""
        self.runner.call_hook("before_train")
        while self._epoch < self._max_epochs and not self.stop_training:
            if not self.run_epoch():
                break
            self._decide_current_val_interval()
            if (
                self.runner.val_loop is not None
                and self._epoch >= self.val_begin
                and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)
            ):
                self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> bool:
        """Run what is left of an epoch; whether its end was reached."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        length = len(self.dataloader)
        done = self._iter - self._epoch * length
        if 0 < done < length:
            self._skip(done)
        batches = iter(self.dataloader)
        for index in range(done, length):
            self._seed()
            self.run_iter(index, next(batches))
            if self.stop_training and index + 1 < length:
                return False
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
        return True

    def _skip(self, done: int) -> None:
        loader = self.dataloader
        sampler = loader.sampler
        if loader.num_workers or not hasattr(sampler, "start"):
            raise ValueError(
                f"the checkpoint is of iteration {done} of an epoch of {len(loader)}, where a "
                f"{type(sampler).__name__} with {loader.num_workers} workers cannot begin; it "
                "takes train_dataloader.sampler.type='ResumableSampler' and num_workers=0"
            )
        sampler.start = done * loader.batch_size

    def _seed(self) -> None:
        sequence = np.random.SeedSequence([self.runner.seed, get_rank(), self._iter])
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
