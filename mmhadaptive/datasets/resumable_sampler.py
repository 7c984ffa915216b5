"""A sampler that can begin in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ResumableSampler(DefaultSampler):
    """mmengine's ``DefaultSampler``, which is seeded and shares the samples out among the ranks,
    with a first sample.

    ``start`` is the number of samples of this rank that the next iteration leaves out; later
    iterations are whole again. ``len`` is that of a whole epoch. :class:`ResumableTrainLoop` sets
    it.
    """

    start = 0

    def __iter__(self) -> Iterator[int]:
        start, self.start = self.start, 0
        return islice(super().__iter__(), start, None)
