"""The temperatures of a search, against the formulas of appendix A.1."""

import math

import pytest

from mmhadaptive.nas import temperature

MAX, MIN = 4.0, 0.1
FORMULAS = {
    "linear": lambda e, E: MAX - (MAX - MIN) * e / E,
    "exponential": lambda e, E: MAX * (MIN / MAX) ** (e / E),
    "cosine": lambda e, E: MIN + 0.5 * (MAX - MIN) * (1 + math.cos(math.pi * e / E)),
}


@pytest.mark.parametrize("schedule", FORMULAS)
def test_formulas(schedule):
    taus = [temperature(epoch, 250, schedule, MAX, MIN) for epoch in range(251)]
    assert taus == pytest.approx([FORMULAS[schedule](epoch, 250) for epoch in range(251)])
    assert taus[0] == MAX
    assert taus[-1] == pytest.approx(MIN)
    assert taus == sorted(taus, reverse=True)


def test_bad_arguments():
    with pytest.raises(ValueError, match="got 'step'"):
        temperature(0, 10, "step")
    with pytest.raises(ValueError, match="must be positive"):
        temperature(0, 10, end=0)
