"""Blocks by the rows of an architecture table."""

import pytest
import torch
from mmcv.cnn import ConvModule

from mmhadaptive.layers import (
    AdaptiveBottleneck,
    AdaptiveCrossHadamard,
    DyAlge,
    DySoft,
    GhostExpansion,
    PointwiseExpansion,
)
from mmhadaptive.models import HadaptiveNet, build_block
from mmhadaptive.models.blocks import row_stride


@pytest.mark.parametrize(
    ("row", "kind", "width", "size"),
    [
        (("pointwise", 12, 3, 3, 1), PointwiseExpansion, 24, (8, 6)),
        (("ghost", 12, 4, 2, 2), GhostExpansion, 32, (4, 3)),
        (("ach", 8, 4, 5), AdaptiveCrossHadamard, 14, (8, 6)),
        (("ach", 12, 4, 2, 2, "DySig"), AdaptiveCrossHadamard, 14, (4, 3)),
        # An expansion that is no integer, and an even kernel that keeps the size.
        (("ghost", 8, 2.25, 2, 1), GhostExpansion, 18, (8, 6)),
    ],
)
def test_bottlenecks(row, kind, width, size):
    block = build_block(row, 8)
    assert type(block) is AdaptiveBottleneck
    assert type(block.expand) is kind
    assert block.expand.out_channels == width
    assert block(torch.randn(2, 8, 8, 6)).shape == (2, row[1], *size)


def test_a_row_states_stride_and_norm_of_the_products():
    assert [row_stride(row) for row in (("ach", 8, 4, 5), ("ach", 8, 4, 5, 2))] == [1, 2]
    assert row_stride(("conv", 8, 3, 2, None)) == row_stride(("ghost", 8, 4, 3, 2)) == 2
    plain, stated = (build_block(("ach", 8, 4, 3, *more), 8) for more in ((), (1, "DyAlge")))
    assert isinstance(plain.expand.product_norm, DySoft)
    assert isinstance(stated.expand.product_norm, DyAlge)
    options = dict(product_norm_cfg=dict(type="DySig"), selection="fixed")
    block = build_block(("ach", 8, 4, 3, 1, "DyAlge"), 8, ach_cfg=options)
    assert isinstance(block.expand.product_norm, DyAlge)
    assert block.expand.selection == "fixed"


def test_options():
    block = build_block(
        ("ach", 8, 4, 3),
        8,
        ach_cfg=dict(selection="fixed"),
        norm_cfg=dict(type="GN", num_groups=2),
        act_cfg=dict(type="ReLU"),
        with_cp=True,
    )
    assert block.expand.selection == "fixed"
    assert isinstance(block.depthwise.norm, torch.nn.GroupNorm)
    assert isinstance(block.depthwise.activate, torch.nn.ReLU)
    assert block.with_cp
    convolution = build_block(("conv", 12, 3, 2, "HSwish"), 8)
    assert type(convolution) is ConvModule
    assert convolution(torch.zeros(1, 8, 8, 6)).shape == (1, 12, 4, 3)
    assert not build_block(("conv", 12, 3, 2, None), 8).with_activation


def test_the_network_is_made_of_them():
    rows = [("conv", 8, 2, 2, None), ("ghost", 8, 2, 3, 1), ("pointwise", 8, 2, 3, 1)]
    torch.manual_seed(0)
    network = HadaptiveNet([rows], out_indices=(0,))
    torch.manual_seed(0)
    channels, blocks = 3, []
    for row in rows:
        blocks.append(build_block(row, channels))
        channels = row[1]
    ours, theirs = network.stages[0].state_dict(), torch.nn.Sequential(*blocks).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_unknown_rows_are_refused():
    with pytest.raises(ValueError, match=r"conv, pointwise, ghost or ach, got \('dense', 8"):
        build_block(("dense", 8, 2, 2), 8)
