"""A part of a data set with the same part of every class."""

from __future__ import annotations

import numpy as np


def balanced_subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices, ascending, of the same fraction of every class (at least one sample each)."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}")
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(fraction * len(members)))
        chosen.append(generator.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))
