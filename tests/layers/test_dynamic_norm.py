"""Dynamic normalisations: the layers alone and fused into the operator agree."""

import pytest
import torch
from mmcv.cnn import ConvModule, is_norm
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from mmhadaptive.layers import DyAlge, DynamicNorm, DySig, DySoft
from mmhadaptive.models import HadaptiveNet
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
    assert norm.state_dict().keys() == {"alpha", "weight", "bias"}


def test_norm_decay_mult_is_that_of_every_parameter():
    model = HadaptiveNet("s")
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type="AdamW", lr=0.01, weight_decay=0.1),
            paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0.5),
        ),
    )
    decay = {
        parameter: group["weight_decay"]
        for group in wrapper.param_groups
        for parameter in group["params"]
    }
    norms = [module for module in model.modules() if is_norm(module)]
    of_norms = {parameter for norm in norms for parameter in norm.parameters()}
    dynamic = [norm for norm in norms if isinstance(norm, DynamicNorm)]
    assert len(dynamic) == 6
    assert all(len(list(norm.parameters())) == 3 for norm in dynamic)
    for name, parameter in model.named_parameters():
        expected = 0 if parameter in of_norms else 0.05 if name.endswith(".bias") else 0.1
        assert decay[parameter] == expected, name


def test_it_serves_wherever_mmcv_takes_a_norm_cfg():
    layer = ConvModule(2, 4, 1, norm_cfg=dict(type="DySoft", alpha=0.25))
    assert layer.state_dict().keys() == {"conv.weight", "dy.alpha", "dy.weight", "dy.bias"}
    x = torch.randn(2, 2, 3, 3)
    expected = torch.relu(torch.nn.functional.softsign(0.25 * layer.conv(x)))
    torch.testing.assert_close(layer(x), expected)


def test_the_conversion_of_batch_normalisations_leaves_it_alone():
    norm = DySoft(4)
    assert torch.nn.SyncBatchNorm.convert_sync_batchnorm(norm) is norm
    assert convert_sync_batchnorm(norm) is norm
