"""The adaptive bottleneck."""

import pytest
import torch
from torch import nn

from mmhadaptive.layers import AdaptiveBottleneck

GHOST = dict(type="GhostExpansion", out_channels=16)
ACH = dict(type="AdaptiveCrossHadamard", num_selected=4)


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


@pytest.mark.parametrize(
    ("width", "ratio", "divisor", "squeezed"),
    [(592, 4, 1, 148), (30, 4, 1, 7), (624, 4, 8, 160), (787, 8, 8, 96), (16, 8, 8, 8)],
)
def test_width_of_the_squeeze(width, ratio, divisor, squeezed):
    expansion = dict(type="PointwiseExpansion", out_channels=width)
    block = AdaptiveBottleneck(expansion, 8, 8, 3, se_ratio=ratio, se_divisor=divisor)
    assert block.se.fc1.out_channels == block.se.fc2.in_channels == squeezed


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
