"""Adaptive bottleneck and Ghost expansion."""

import pytest
import torch
from torch import nn

from mmhadaptive.layers import AdaptiveBottleneck, GhostExpansion

GHOST = dict(type="GhostExpansion", out_channels=16)
ACH = dict(type="AdaptiveCrossHadamard", num_selected=4)


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


@pytest.mark.parametrize(
    ("expansion", "out_channels", "kernel_size", "stride", "residual"),
    [
        (ACH, 8, 5, 1, True),
        (GHOST, 8, 3, 1, True),
        (GHOST, 12, 3, 1, False),
        (GHOST, 8, 2, 2, False),
    ],
)
def test_residual_where_stride_and_widths_allow(
    expansion, out_channels, kernel_size, stride, residual
):
    block = AdaptiveBottleneck(expansion, 8, out_channels, kernel_size, stride)
    nn.init.zeros_(block.project.bn.weight)
    x = torch.randn(2, 8, 7, 6)
    y = block(x)
    assert y.shape == (2, out_channels, 7 // stride, 6 // stride)
    assert torch.equal(y, x if residual else torch.zeros_like(y))


def test_activation_follows_the_depthwise_convolution_alone():
    block = AdaptiveBottleneck(ACH, 8, 8, 3).eval()
    x = torch.randn(2, 8, 5, 5)
    wide = block.expand(x)
    middle = nn.functional.hardswish(
        block.depthwise.bn(
            nn.functional.conv2d(wide, block.depthwise.conv.weight, padding=1, groups=14)
        )
    )
    torch.testing.assert_close(block(x), x + block.project.bn(block.project.conv(middle)))
