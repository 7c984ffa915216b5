"""mmpretrain's networks as the paper's authors have them."""

import pytest
import torch
from mmpretrain.models.backbones import MobileNetV3, MobileViT

from mmhadaptive.models.variants import DepthwiseMobileViT, UnroundedMobileNetV3


def test_squeezes_are_a_quarter_of_the_width():
    model, original = UnroundedMobileNetV3(), MobileNetV3()
    squeezes = {
        name: (block.linear_conv.in_channels, block.se.conv1.out_channels)
        for name, block in model.named_children()
        if getattr(block, "with_se", False)
    }
    assert all(squeezed == width // 4 for width, squeezed in squeezes.values())
    assert squeezes["layer7"] == (120, 30)
    assert original.layer7.se.conv1.out_channels == 32
    # Nothing else is another.
    others = [
        {key: value.shape for key, value in each.state_dict().items() if ".se." not in key}
        for each in (model, original)
    ]
    assert others[0] == others[1]
    assert str(model.layer7.se.conv2.activate) == str(original.layer7.se.conv2.activate)


@pytest.mark.parametrize("arch", ["small", "x_small", "xx_small"])
def test_the_local_convolution_is_depthwise(arch):
    model, original = DepthwiseMobileViT(arch), MobileViT(arch)
    for layer, old in zip(model.layers[2:], original.layers[2:], strict=True):
        block, old = layer[1], old[1]
        local = block.local_rep[0]
        assert local.conv.groups == local.conv.in_channels == old.local_rep[0].conv.in_channels
        assert (str(local.bn), str(local.activate)) == (
            str(old.local_rep[0].bn),
            str(old.local_rep[0].activate),
        )
        assert len(block.global_rep) == len(old.global_rep) - 1
        assert {encoder.attn.num_heads for encoder in block.global_rep} == {4}
    for blocks in model.layers[:2]:
        for block in blocks:
            assert block.conv[0].conv.out_channels == 4 * block.conv[0].conv.in_channels
    model.eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 64))[0].shape[2:] == (2, 2)
