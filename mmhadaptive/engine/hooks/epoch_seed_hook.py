"""Random numbers that depend on the seed, the rank and the epoch alone."""

from __future__ import annotations

import numpy as np
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import set_random_seed

from mmhadaptive.io.user_errors import UserValueError

from ..sampler_seed import seed_sampler, seed_workers


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every generator anew at the start of each epoch.

    A run that resumes from the checkpoint of an epoch then draws the same Gumbel noise, dropout
    and augmentations as one that was never interrupted, so on the CPU it continues bit for bit.
    It also gives each epoch augmentations of its own: mmengine seeds the loader's workers alike
    in every epoch.

    It needs an epoch-based training loop and a loader with ``persistent_workers=False``, whose
    workers start anew with each epoch.

    Raises:
        ValueError: The training loader keeps its workers.
    """

    # Before the hooks that may draw random numbers at the start of an epoch.
    priority = "VERY_HIGH"

    def before_train(self, runner) -> None:
        if getattr(runner.train_dataloader, "persistent_workers", False):
            raise UserValueError(
                "EpochSeedHook needs train_dataloader.persistent_workers=False: workers that live "
                "on keep random states that a resumed run cannot restore"
            )
        seed_sampler(runner)

    def before_train_epoch(self, runner) -> None:
        sequence = np.random.SeedSequence([runner.seed, get_rank(), runner.epoch])
        seed, worker_seed = (int(word) for word in sequence.generate_state(2))
        set_random_seed(seed)
        seed_workers(runner.train_dataloader, worker_seed)
