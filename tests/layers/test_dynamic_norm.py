"""Dynamic normalisations: the layers alone and fused into the operator agree."""

import pytest
import torch
from mmengine.registry import MODELS

from mmhadaptive.layers import DyAlge, DySig, DySoft
from mmhadaptive.ops import cross_hadamard


@pytest.mark.parametrize(
    ("layer_type", "expected"),
    [(DySoft, 0.5), (DySig, 1 / (1 + 2.718281828459045**-1) - 0.5), (DyAlge, 0.5**0.5)],
)
def test_values(layer_type, expected):
    layer = layer_type(1, alpha=0.5).double()
    y = layer(torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64))
    torch.testing.assert_close(y.item(), expected)
    y = layer(torch.full((1, 1, 1, 1), -2.0, dtype=torch.float64))
    torch.testing.assert_close(y.item(), -expected)


@pytest.mark.parametrize("name", ["DySoft", "DySig", "DyAlge"])
def test_fused_equals_separate(name):
    norm = MODELS.build(dict(type=name, num_features=3)).double()
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    index = torch.tensor([[4, 0, 2], [1, 3, 0]])
    gate = torch.ones(2, 3, dtype=torch.float64)
    plain = cross_hadamard(x, index, gate, None, None, None, norm="none")
    fused = cross_hadamard(x, index, gate, norm.alpha, norm.weight, norm.bias, norm=norm.function)
    torch.testing.assert_close(fused[:, 5:], norm(plain[:, 5:]))


def test_initial_values():
    norm = DySoft(6)
    assert norm.alpha.item() == 0.5
    assert torch.equal(norm.weight, torch.ones(6))
    assert torch.equal(norm.bias, torch.zeros(6))
