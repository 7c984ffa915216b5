"""A training loop that resumes in the middle of an epoch."""

from __future__ import annotations

import numpy as np
from mmengine.dist import get_rank
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, set_random_seed
from torch import nn


class _StoppedInEpochError(Exception):
    """Leaves mmengine's ``run``, which would validate after every epoch that it began."""


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
        try:
            return super().run()
        except _StoppedInEpochError:
            self.runner.call_hook("after_train")
            return self.runner.model

    def run_epoch(self) -> None:
        """Run what is left of an epoch."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        length = len(self.dataloader)
        done = self._iter - self._epoch * length
        if 0 < done < length:
            self.check_resumable()
            self.dataloader.sampler.start = done * self.dataloader.batch_size
        batches = iter(self.dataloader)
        for index in range(done, length):
            words = np.random.SeedSequence([self.runner.seed, get_rank(), self._iter])
            set_random_seed(int(words.generate_state(1)[0]))
            self.run_iter(index, next(batches))
            if self.stop_training and index + 1 < length:
                raise _StoppedInEpochError
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def check_resumable(self) -> None:
        """Raise a ValueError if the loader cannot begin in the middle of an epoch."""
        sampler, workers = self.dataloader.sampler, self.dataloader.num_workers
        if workers or not hasattr(sampler, "start"):
            raise ValueError(
                f"a {type(sampler).__name__} with {workers} workers cannot begin in the middle of "
                "an epoch; it takes train_dataloader.sampler.type='ResumableSampler' and "
                "train_dataloader.num_workers=0"
            )
