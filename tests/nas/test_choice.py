"""A choice: its gradient, what runs, and how it is drawn."""

import pytest
import torch
from torch import nn

from mmhadaptive.nas import Choice, choices, draw_choices


class Counted(nn.Module):
    """A linear map that counts its calls."""

    def __init__(self, features=3):
        super().__init__()
        self.linear = nn.Linear(features, features).double()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x)


@pytest.fixture
def choice():
    torch.manual_seed(0)
    made = Choice({name: Counted() for name in "abcd"}).double()
    made.alpha.data = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
    return made


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tau", [4.0, 0.7, 0.1])
def test_the_gradient_is_the_jacobian_of_the_soft_mixture(choice, seed, tau):
    """Of the mixture in which the candidate that was drawn has its output, and the others ones."""
    x, upstream = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    torch.manual_seed(seed)
    draw_choices(choice, tau, differentiable=True)
    y = choice(x)
    assert torch.equal(y, choice.candidates[choice.index].linear(x))
    (gradient,) = torch.autograd.grad(y, choice.alpha, upstream)

    torch.manual_seed(seed)
    noise = -torch.empty(4, dtype=torch.float64).exponential_().log()

    def mixture(alpha):
        soft = ((alpha.log_softmax(0) + noise) / tau).softmax(0)
        outputs = torch.ones(4, 5, 3).double()
        outputs[choice.index] = choice.candidates[choice.index].linear(x)
        return torch.einsum("i,ibc->bc", soft, outputs)

    jacobian = torch.autograd.functional.jacobian(mixture, choice.alpha.detach())
    expected = torch.einsum("bc,bci->i", upstream, jacobian)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)
    assert gradient.abs().max() > 0


class Residual(Counted):
    with_residual = True

    def forward(self, x):
        return x + super().forward(x)


@pytest.mark.parametrize("drawn", range(3))
def test_of_a_residual_the_gate_weights_what_it_adds(drawn):
    """As the soft mixture of one candidate with its output, and of ones, beside the input."""
    torch.manual_seed(0)
    blocks = dict(residual=Residual(), plain=Counted(), blank=nn.Identity())
    choice = Choice(blocks).double()
    x, upstream = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    while choice.index != drawn:
        draw_choices(choice, 0.7, differentiable=True)
    y = choice(x)
    assert torch.equal(y, choice.candidates[drawn](x))
    gates = choice.gates
    (gradient,) = torch.autograd.grad(y, gates, upstream)
    added = [blocks["residual"].linear(x), blocks["plain"](x), torch.zeros_like(x)][drawn]
    expected = torch.ones(3, 5, 3).double()
    expected[drawn] = added
    torch.testing.assert_close(gradient, torch.einsum("ibc,bc->i", expected, upstream))


def test_one_candidate_runs_and_alone_gets_gradients(choice):
    for differentiable in (False, True):
        for candidate in choice.candidates:
            candidate.calls = 0
        choice.zero_grad()
        draw_choices(choice, 1.0, differentiable)
        choice(torch.randn(2, 3).double()).square().sum().backward()
        calls = [candidate.calls for candidate in choice.candidates]
        assert sum(calls) == 1
        assert calls[choice.index] == 1
        for number, candidate in enumerate(choice.candidates):
            assert (candidate.linear.weight.grad is not None) == (number == choice.index)
        assert (choice.alpha.grad is not None) == differentiable


def test_draws_follow_the_probabilities(choice):
    torch.manual_seed(0)
    counts = torch.zeros(4)
    for _ in range(4000):
        # A temperature does not change the argmax.
        draw_choices(choice, 0.01)
        counts[choice.index] += 1
    torch.testing.assert_close(counts / 4000, choice.confidence.float(), atol=0.03, rtol=0)


def test_evaluation_takes_the_largest(choice):
    x = torch.randn(2, 3).double()
    assert torch.equal(choice.eval()(x), choice.candidates[2].linear(x))


def test_a_training_without_a_draw_is_refused(choice):
    with pytest.raises(RuntimeError, match="draw_choices"):
        choice(torch.randn(2, 3).double())


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_draws_that_are_not_finite_are_repeated(choice, monkeypatch, bad):
    draws = []

    def noise(like):
        draws.append(torch.full_like(like, bad) if len(draws) < 3 else torch.zeros_like(like))
        return draws[-1]

    monkeypatch.setattr("mmhadaptive.nas.choice.gumbel_noise", noise)
    draw_choices(choice, 1.0, differentiable=True)
    assert len(draws) == 4
    assert choice.index == 2
    assert choice.gates.isfinite().all()
    monkeypatch.setattr(
        "mmhadaptive.nas.choice.gumbel_noise", lambda like: torch.full_like(like, bad)
    )
    with pytest.raises(FloatingPointError, match="no finite draw"):
        draw_choices(choice, 1.0)
    choice.alpha.data[0] = bad
    with pytest.raises(FloatingPointError, match="logits"):
        draw_choices(choice, 1.0)


def test_choices_of_different_lengths_are_drawn_together():
    torch.manual_seed(0)
    model = nn.Sequential(Choice({"a": Counted(), "b": Counted()}), Choice(dict.fromkeys("abc")))
    draw_choices(model, 2.0, differentiable=True)
    assert [len(each.gates) for each in choices(model)] == [2, 3]
    for each in choices(model):
        assert each.gates.argmax() == each.index
        assert each.gates.detach().tolist() == [
            float(i == each.index) for i in range(len(each.names))
        ]
