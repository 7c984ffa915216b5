"""Gumbel noise."""

import math

import torch

from mmhadaptive.layers import gumbel_noise


def test_moments_and_the_largest_logit():
    torch.manual_seed(0)
    noise = gumbel_noise(torch.empty(200_000, dtype=torch.float64))
    # Euler's constant and pi^2 / 6; the tolerance is five standard errors of the mean.
    assert abs(noise.mean() - 0.5772157) < 5 * math.pi / 6**0.5 / 200_000**0.5
    assert abs(noise.var() - math.pi**2 / 6) < 0.05
    logits = torch.tensor([0.0, 1.0, 2.0])
    draws = (logits + gumbel_noise(torch.empty(100_000, 3))).argmax(1).bincount() / 100_000
    torch.testing.assert_close(draws, logits.softmax(0), rtol=0, atol=0.01)


def test_a_draw_of_zero_is_finite(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda x: x.zero_())
    assert gumbel_noise(torch.empty(3)).isfinite().all()


def test_the_layout_does_not_change_the_draws():
    x = torch.empty(2, 3, 4, 5)
    torch.manual_seed(0)
    first = gumbel_noise(x)
    torch.manual_seed(0)
    second = gumbel_noise(x.to(memory_format=torch.channels_last))
    assert torch.equal(first, second)
