"""The layers that widen the input of a bottleneck."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmhadaptive.layers import GhostExpansion, PointwiseExpansion, ach_expansion


def test_ghost_is_a_pointwise_half_and_a_depthwise_half():
    layer = GhostExpansion(6, 16).eval()
    x = torch.randn(2, 6, 5, 5)
    first = nn.functional.hardswish(layer.primary.bn(layer.primary.conv(x)))
    second = layer.cheap.bn(
        nn.functional.conv2d(first, layer.cheap.conv.weight, padding=1, groups=8)
    )
    torch.testing.assert_close(layer(x), torch.cat([first, second], dim=1))
    with pytest.raises(ValueError, match="out_channels must be even, got 7"):
        GhostExpansion(6, 7)


def test_pointwise_is_a_convolution_with_normalisation_and_activation():
    layer = PointwiseExpansion(6, 16).eval()
    x = torch.randn(2, 6, 5, 5)
    expected = nn.functional.hardswish(layer.bn(nn.functional.conv2d(x, layer.conv.weight)))
    torch.testing.assert_close(layer(x), expected)
    assert layer.conv.bias is None


def test_a_cross_hadamard_expansion_by_its_channels_or_its_width():
    assert ach_expansion(8, 4)["num_selected"] == 4
    # 8 + 4 * 3 / 2 = 14, 8 + 5 * 4 / 2 = 18.
    assert [ach_expansion(8, hidden_channels=w)["num_selected"] for w in (14, 15, 18)] == [4, 5, 5]
    cfg = ach_expansion(8, hidden_channels=15, selection="static")
    layer = MODELS.build(dict(cfg, in_channels=8, norm_cfg=dict(type="BN")))
    assert (layer.out_channels, layer.selection) == (18, "static")
    with pytest.raises(ValueError, match="needs num_selected or hidden_channels"):
        ach_expansion(8)
    with pytest.raises(ValueError, match="cannot be expanded to 99"):
        ach_expansion(8, hidden_channels=99)
