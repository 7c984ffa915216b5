"""The Gumbel choice at low temperatures, against the same draws in float64."""

from contextlib import nullcontext

import pytest
import torch

from mmhadaptive.layers import gumbel_top_k

ROWS = 200


def exact(scores, num_selected, tau):
    """Eqs. 4 to 6 in float64 with the noise that gumbel_top_k draws: choice, gradient of sum(M)."""
    noise = -torch.empty(scores.shape).exponential_().double().log()
    scores = scores.double().requires_grad_()
    perturbed = scores + noise
    index = perturbed.topk(num_selected, dim=1).indices
    soft = torch.softmax(perturbed / tau, dim=1).gather(1, index)
    weights = torch.arange(1, num_selected + 1)
    (gradient,) = torch.autograd.grad((soft * weights).sum(), scores)
    return index, gradient


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("tau", [0.01, 0.02, 0.1, 4.0])
@pytest.mark.parametrize(("channels", "num_selected"), [(96, 16), (256, 36)])
def test_the_right_channels_by_rank_at_any_temperature(channels, num_selected, tau, autocast):
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(ROWS, channels, generator=generator)
    if autocast:
        scores = scores.bfloat16()
    scores.requires_grad_()
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
        index, gate = gumbel_top_k(scores, num_selected, torch.tensor(tau))
    assert gate.dtype == torch.float32
    assert torch.equal(gate, torch.ones_like(gate))
    torch.manual_seed(2)
    expected, gradient = exact(scores.detach(), num_selected, tau)
    assert torch.equal(index, expected)
    (gate * torch.arange(1, num_selected + 1)).sum().backward()
    tolerance = dict(rtol=1e-2, atol=1e-2) if autocast else dict(rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(scores.grad.double(), gradient, **tolerance)
