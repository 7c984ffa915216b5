"""How the temperature of the search falls (appendix A.1 of the paper)."""

from __future__ import annotations

import math

from mmhadaptive.io.user_errors import UserValueError

SCHEDULES = ("linear", "exponential", "cosine")


def temperature(
    epoch: int, epochs: int, schedule: str = "cosine", start: float = 4.0, end: float = 0.1
) -> float:
    """The temperature in an epoch, with ``r = epoch / epochs``.

    ===========  ==================================================
    linear       ``start - (start - end) * r``
    exponential  ``start * (end / start) ** r``
    cosine       ``end + (start - end) * (1 + cos(pi * r)) / 2``
    ===========  ==================================================

    Args:
        epoch: The epoch, from 0 on.
        epochs: Number of epochs.
        schedule: One of these.
        start: Temperature of the first epoch.
        end: Temperature that the last epoch is about to reach.

    Raises:
        ValueError: The schedule is none of these, or a temperature is not positive.
    """
    if min(start, end) <= 0:
        raise UserValueError(f"temperatures must be positive, got {start} and {end}")
    part = epoch / epochs
    if schedule == "linear":
        return start - (start - end) * part
    if schedule == "exponential":
        return start * (end / start) ** part
    if schedule == "cosine":
        return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
    raise UserValueError(f"a schedule of the temperature is one of {SCHEDULES}, got {schedule!r}")
