"""Merged convolutions compute what the two did, edges included."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmhadaptive.deploy.folding import fold_norms
from mmhadaptive.deploy.lean import LeanBottleneck, LeanExpansion, lean
from mmhadaptive.deploy.merged_convolutions import merge_convolutions, merge_stem
from mmhadaptive.layers import DynamicNorm
from mmhadaptive.models import HadaptiveNet


def randomize_norms(module):
    """Statistics, factors and shifts as after a training, some factors negative."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2)
        elif isinstance(norm, DynamicNorm):
            nn.init.uniform_(norm.alpha, -0.9, -0.3)
        else:
            continue
        nn.init.uniform_(norm.weight, -1, 1)
        nn.init.uniform_(norm.bias, -0.5, 0.5)


@pytest.mark.parametrize("bias", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (dict(kernel_size=2, stride=2), dict(kernel_size=2, stride=2)),
        (dict(kernel_size=3, padding=1), dict(kernel_size=1, stride=2)),
        (dict(kernel_size=(3, 1), stride=(2, 1), padding=(1, 0)), dict(kernel_size=(1, 2))),
        (dict(kernel_size=3, padding=1, groups=6), dict(kernel_size=2, stride=2, groups=6)),
    ],
)
def test_both_at_once(first, second, bias):
    depthwise = "groups" in first
    a = nn.Conv2d(6, 6 if depthwise else 32, **first, bias=bias[0]).double()
    b = nn.Conv2d(a.out_channels, 6 if depthwise else 4, **second, bias=bias[1]).double()
    merged = merge_convolutions(a, b)
    assert (merged.bias is not None) == any(bias)
    for size in ((12, 12), (13, 11)):
        x = torch.randn(2, 6, *size, dtype=torch.float64)
        torch.testing.assert_close(merged(x), b(a(x)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # The zeros of the padding are not what the first one would give there.
        (dict(kernel_size=1), dict(kernel_size=3, padding=1)),
        (dict(kernel_size=3, padding="same"), dict(kernel_size=1)),
        (dict(kernel_size=3, dilation=2), dict(kernel_size=1)),
        (dict(kernel_size=3, padding=1, padding_mode="reflect"), dict(kernel_size=1)),
        (dict(kernel_size=1, groups=2), dict(kernel_size=1, groups=2)),
        (dict(kernel_size=3, groups=8), dict(kernel_size=1)),
        # It would multiply more: 25 a pixel in the place of 18.
        (dict(kernel_size=3, groups=8), dict(kernel_size=3, groups=8)),
    ],
)
def test_pairs_that_stay(first, second):
    a, b = (nn.Conv2d(8, 8, **options) for options in (first, second))
    assert merge_convolutions(a, b) is None


@pytest.fixture
def networks():
    def build(**options):
        torch.manual_seed(0)
        model = HadaptiveNet("s", **options)
        randomize_norms(model)
        return model.double().eval()

    return build


@torch.no_grad()
def test_the_stem_of_hadaptive_net(networks):
    model = networks(out_indices=(1, 2))
    x = torch.randn(2, 3, 45, 38, dtype=torch.float64)
    expected = model(x)
    merge_stem(fold_norms(model))
    assert isinstance(model.stages[0][0], nn.Identity)
    conv = model.stages[1][0].conv
    assert (conv.kernel_size, conv.stride, conv.in_channels) == ((4, 4), (4, 4), 3)
    torch.testing.assert_close(model(x), expected)


def test_a_stem_that_stays(networks):
    """Its first stage is an output; its norms are not folded."""
    for model in (fold_norms(networks(out_indices=(0, 1))), networks(out_indices=(1,))):
        merge_stem(model)
        assert model.stages[1][0].conv.kernel_size == (2, 2)
    model = fold_norms(networks(out_indices=(1,)))
    model.stages[0] = nn.Identity()
    merge_stem(model)
    assert model.stages[1][0].conv.kernel_size == (2, 2)


@torch.no_grad()
def test_a_strided_ghost_bottleneck_has_one_convolution_a_half():
    options = dict(in_channels=8, out_channels=16, kernel_size=2, stride=2)
    expansion = dict(type="GhostExpansion", out_channels=24)
    block = MODELS.build(dict(type="AdaptiveBottleneck", expansion=expansion, **options))
    randomize_norms(block)
    block.double().eval()
    x = torch.randn(1, 8, 9, 12, dtype=torch.float64)
    expected = block(x)
    leaner = lean(block)
    assert isinstance(leaner, LeanBottleneck)
    assert isinstance(leaner.expand.cheap, nn.Identity)
    assert [part.kernel_size for part in leaner.depthwise] == [(2, 2), (4, 4)]
    torch.testing.assert_close(leaner(x), expected)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["DySoft", "DySig", "BN", None])
@pytest.mark.parametrize(("selected", "products"), [(6, 16), (9, 36)])
def test_products_are_aligned(norm, selected, products):
    """Six channels have fifteen products; the one more has no weight."""
    ach = dict(product_norm_cfg=norm and dict(type=norm))
    block = MODELS.build(
        dict(
            type="ACHBottleneck",
            in_channels=12,
            out_channels=12,
            num_selected=selected,
            kernel_size=5,
            ach_cfg=ach,
        )
    )
    randomize_norms(block)
    block.double().eval()
    x = torch.randn(2, 12, 7, 6, dtype=torch.float64)
    expected = block(x)
    leaner = lean(block)
    expansion = leaner.expand
    assert isinstance(expansion, LeanExpansion)
    assert expansion.channels == (12, products)
    assert leaner.depthwise[1].weight.shape[0] == leaner.project[1].weight.shape[1] == products
    torch.testing.assert_close(leaner(x), expected)
