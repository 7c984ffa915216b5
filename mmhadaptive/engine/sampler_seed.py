"""The random numbers of a loader in a resumed run."""

from __future__ import annotations

from functools import partial

import torch
from mmengine.dataset import worker_init_fn
from mmengine.dist import broadcast
from mmengine.runner import Runner
from torch.utils.data import DataLoader


def seed_sampler(runner: Runner, loader: DataLoader | None = None) -> None:
    """Let the sampler of a training shuffle by the run's seed.

    A resumed run takes its seed from the checkpoint, after the sampler was built with another.

    Args:
        runner: The run.
        loader: The loader, by default the run's own for training.
    """
    loader = runner.train_dataloader if loader is None else loader
    sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    if hasattr(sampler, "seed"):
        # The ranks share out one permutation, even where each has a seed of its own.
        seed = torch.tensor(runner.seed)
        broadcast(seed)
        sampler.seed = seed.item()


def seed_workers(loader: DataLoader, seed: int) -> None:
    """Let the workers that a loader starts next have this seed."""
    # A loader of another kind has no workers.
    if isinstance(loader, DataLoader):
        loader.worker_init_fn = partial(
            worker_init_fn, num_workers=loader.num_workers, rank=0, seed=seed % 2**31
        )
