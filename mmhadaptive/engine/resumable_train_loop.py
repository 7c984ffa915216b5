"""A training loop that resumes in the middle of an epoch."""

from __future__ import annotations

import numpy as np
from mmengine.dist import get_rank
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, set_random_seed
from torch import nn

from mmhadaptive.io.user_errors import UserValueError

from .sampler_seed import seed_sampler
from .schedule import replay_schedule


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

    Every checkpoint knows how many iterations its epoch has. At the end of an epoch a run may go on
    with another batch size or number of processes: iterations are counted on, and the learning rate
    is that of the epoch (:func:`~mmhadaptive.engine.schedule.replay_schedule`).

    Raises:
        ValueError: A checkpoint of the middle of an epoch, and a loader that cannot begin there or
            whose epochs have another length.
    """

    # The iteration with which the present epoch began.
    _begin = 0

    def run(self) -> nn.Module:
        """Train; a stop in the middle of an epoch skips what belongs to its end."""
        seed_sampler(self.runner)
        if self._iter:
            self.enter()
        try:
            return super().run()
        except _StoppedInEpochError:
            self.runner.call_hook("after_train")
            return self.runner.model

    def enter(self) -> None:
        """Take up the epoch of the checkpoint."""
        runner, length = self.runner, len(self.dataloader)
        # Without it another loop wrote the checkpoint, at the end of an epoch.
        last = runner.message_hub.get_info("current_epoch", dict(epoch=-1))
        done = self._iter - last["begin"] if last["epoch"] == self._epoch else 0
        previous = last.get("length", self._iter / max(self._epoch, 1))
        if 0 < done < previous != length:
            raise UserValueError(
                f"the checkpoint is {done} iterations into an epoch of {previous}, and this run's "
                f"epochs have {length}: resume with the batch size and the number of processes of "
                "the checkpoint, or from that of an epoch's end (--resume WORK_DIR/epoch_N.pth)"
            )
        if previous != length:
            done = length if done else 0
            replay_schedule(runner, done)
        self._begin = self._iter - done
        last_iter = self._begin + (self._max_epochs - self._epoch) * length
        if last_iter != self._max_iters:
            self._max_iters = last_iter
            runner.optim_wrapper.initialize_count_status(runner.model, self._iter, last_iter)

    def run_epoch(self) -> None:
        """Run what is left of an epoch."""
        length = len(self.dataloader)
        done = self._iter - self._begin
        position = dict(epoch=self._epoch, begin=self._begin, length=length)
        self.runner.message_hub.update_info("current_epoch", position)
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
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
        self._begin = self._iter

    def check_resumable(self) -> None:
        """Raise a ValueError if the loader cannot begin in the middle of an epoch."""
        sampler, workers = self.dataloader.sampler, self.dataloader.num_workers
        if workers or not hasattr(sampler, "start"):
            raise UserValueError(
                f"a {type(sampler).__name__} with {workers} workers cannot begin in the middle of "
                "an epoch; it takes train_dataloader.sampler.type='ResumableSampler' and "
                "train_dataloader.num_workers=0"
            )
