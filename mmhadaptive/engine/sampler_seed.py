"""The permutation of a resumed run."""

from __future__ import annotations

import torch
from mmengine.dist import broadcast
from mmengine.runner import Runner


def seed_sampler(runner: Runner) -> None:
    """Let the sampler of the training shuffle by the run's seed.

    A resumed run takes its seed from the checkpoint, after the sampler was built with another.
    """
    sampler = getattr(getattr(runner.train_dataloader, "batch_sampler", None), "sampler", None)
    if hasattr(sampler, "seed"):
        # The ranks share out one permutation, even where each has a seed of its own.
        seed = torch.tensor(runner.seed)
        broadcast(seed)
        sampler.seed = seed.item()
