"""Temperature adaptation (eq. 7, Algorithm 1)."""

import copy

import pytest
import torch

from mmhadaptive.layers import (
    AdaptiveCrossHadamard,
    AdaptiveTemperature,
    adapt_temperature,
    adaptive_layers,
)


def test_follows_the_published_rule():
    temperature = AdaptiveTemperature(tau=2.0)
    expected, last = 2.0, 0.0
    for norm in [1.0, 2.0, 2.0, 1.5, 3.0, 0.0, 0.0, 4.0, 5.0]:
        temperature.update(torch.tensor(norm))
        if last != 0:
            expected *= 1.01 if norm >= last else 0.99
        last = norm
        assert temperature.tau.item() == pytest.approx(expected, rel=1e-6)


def test_first_gradient_changes_nothing():
    temperature = AdaptiveTemperature(tau=3.0)
    temperature.update(torch.tensor(7.0))
    assert temperature.tau.item() == 3.0
    assert temperature.last_norm.item() == 7.0


def test_stays_in_its_range():
    temperature = AdaptiveTemperature()
    for norm in range(1, 10):
        temperature.update(torch.tensor(float(norm)))
    assert temperature.tau.item() == 4.0
    for norm in range(2000, 0, -1):
        temperature.update(torch.tensor(float(norm)))
    assert temperature.tau.item() == pytest.approx(0.01)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_change_nothing(bad):
    temperature = AdaptiveTemperature(tau=2.0)
    temperature.update(torch.tensor(1.0))
    temperature.update(torch.tensor(bad))
    assert temperature.tau.item() == 2.0
    assert temperature.last_norm.item() == 1.0


def train(model, steps, optimizer=None, scale=1.0):
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.01)
    handle = adapt_temperature(model, optimizer)
    taus = []
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        (scale * model(torch.randn(4, 8, 5, 5)).square().mean()).backward()
        optimizer.step()
        taus.append(model.temperature.tau.item())
    handle.remove()
    return taus


def test_one_line_in_a_plain_loop():
    torch.manual_seed(0)
    layer = AdaptiveCrossHadamard(8, 4, tau=2.0)
    reference = copy.deepcopy(layer)
    taus = train(layer, 8)

    expected, last = [], None
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.01)
    tau = 2.0
    for step in range(8):
        torch.manual_seed(step)
        optimizer.zero_grad()
        reference(torch.randn(4, 8, 5, 5)).square().mean().backward()
        norm = reference.scores.conv.weight.grad.norm().item()
        if last is not None:
            tau *= 1.01 if norm >= last else 0.99
            reference.temperature.tau.fill_(tau)
        last = norm
        expected.append(tau)
        optimizer.step()
    assert taus == pytest.approx(expected, rel=1e-5)
    assert len(set(taus)) > 2


def test_removed_handle_ends_the_updates():
    layer = AdaptiveCrossHadamard(8, 4, tau=2.0)
    train(layer, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    adapt_temperature(layer, optimizer).remove()
    before = layer.temperature.last_norm.item()
    layer(torch.randn(2, 8, 3, 3)).sum().backward()
    optimizer.step()
    assert layer.temperature.last_norm.item() == before


def test_unscales_what_a_fused_optimizer_leaves_scaled():
    torch.manual_seed(0)
    plain = AdaptiveCrossHadamard(8, 4, tau=2.0)
    scaled = copy.deepcopy(plain)
    train(plain, 1)
    optimizer = torch.optim.SGD(scaled.parameters(), lr=0.0, fused=True)
    optimizer.grad_scale = torch.tensor(1024.0)
    optimizer.found_inf = torch.tensor(0.0)
    train(scaled, 1, optimizer, scale=1024.0)
    norm = scaled.temperature.last_norm.item()
    assert norm == pytest.approx(plain.temperature.last_norm.item(), rel=1e-5)
    optimizer.found_inf.fill_(1.0)
    train(scaled, 3, optimizer, scale=2048.0)
    assert scaled.temperature.last_norm.item() == norm


def test_state_dict_carries_temperature_and_history():
    layer = AdaptiveCrossHadamard(8, 4, tau=2.0)
    train(layer, 4)
    other = AdaptiveCrossHadamard(8, 4)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.temperature.tau, layer.temperature.tau)
    assert torch.equal(other.temperature.last_norm, layer.temperature.last_norm)
    assert other.temperature.last_norm.item() > 0


def test_layers_without_a_temperature_are_left_out():
    model = torch.nn.Sequential(
        AdaptiveCrossHadamard(8, 4, selection="fixed"), AdaptiveCrossHadamard(14, 4)
    )
    assert list(adaptive_layers(model)) == [model[1]]


class TwoLayers(torch.nn.Sequential):
    def __init__(self):
        super().__init__(
            AdaptiveCrossHadamard(8, 4, tau=2.0), AdaptiveCrossHadamard(14, 4, tau=2.0)
        )


def taus_of_two(make_optimizers):
    """The temperatures of two layers after every step of all optimizers."""
    torch.manual_seed(0)
    model = TwoLayers()
    optimizers = make_optimizers(model)
    for optimizer in optimizers:
        adapt_temperature(model, optimizer)
    taus = []
    for step in range(6):
        torch.manual_seed(step)
        model(torch.randn(4, 8, 5, 5)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
        for optimizer in optimizers:
            optimizer.zero_grad()
        taus.append([layer.temperature.tau.item() for layer in model])
    return taus


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01)


def test_each_optimizer_moves_the_layers_that_it_trains():
    one = taus_of_two(lambda model: [sgd(model.parameters())])
    two = taus_of_two(lambda model: [sgd(layer.parameters()) for layer in model])
    assert two == one
    assert len({tau for taus in one for tau in taus}) > 2


def test_an_optimizer_without_scores_moves_nothing():
    (last, *_) = reversed(taus_of_two(lambda model: [sgd(model[1].parameters())]))
    assert last[0] == 2.0 != last[1]


def test_a_group_that_is_added_later_moves_its_layer():
    model = TwoLayers()
    optimizer = sgd(model[0].parameters())
    adapt_temperature(model, optimizer)
    optimizer.add_param_group(dict(params=model[1].parameters()))
    model(torch.randn(4, 8, 5, 5)).square().mean().backward()
    optimizer.step()
    assert all(layer.temperature.last_norm > 0 for layer in model)
