"""Blocks of other networks replaced by cross-Hadamard bottlenecks."""

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import MobileNetV3

from mmhadaptive.layers import ACHBottleneck
from mmhadaptive.models.replacement import PRESETS, replace_blocks

SHAPE = (3, 64, 64)


def replaced(target="layer10", **cfg):
    torch.manual_seed(0)
    model = MobileNetV3("small")
    entry = dict(target=target, with_=dict(type="ACHBottleneck", **cfg))
    return model, replace_blocks(model, [entry], SHAPE)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_keep_every_feature_map(preset):
    torch.manual_seed(0)
    model = MobileNetV3("small")
    model.eval()
    x = torch.randn(2, *SHAPE)
    before = [output.shape for output in model(x)]
    reports = replace_blocks(model, preset, SHAPE)
    assert not model.training
    assert tuple(report.target for report in reports) == PRESETS[preset]
    for report in reports:
        assert isinstance(model.get_submodule(report.target), ACHBottleneck)
    assert [output.shape for output in model(x)] == before


def test_widths_stride_and_weights_are_those_of_the_old_block():
    torch.manual_seed(0)
    old = MobileNetV3("small").layer10
    model, (report,) = replaced()
    assert (report.in_channels, report.out_channels, report.stride) == (96, 96, 1)
    # 96 + k(k-1)/2 >= 576, the old block's hidden width.
    assert report.num_selected == 32
    new = model.layer10
    assert new.depthwise.conv.kernel_size == (5, 5)
    assert "project.bn.weight" in report.transferred
    assert torch.equal(new.project.bn.running_var, old.linear_conv.bn.running_var)


def test_a_depthwise_convolution_of_equal_width_is_taken_over():
    # 10 + 4 * 3 / 2 = 16, the old block's hidden width.
    model = torch.nn.Sequential(
        torch.nn.Sequential(
            torch.nn.Conv2d(10, 16, 1),
            torch.nn.BatchNorm2d(16),
            torch.nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
            torch.nn.BatchNorm2d(16),
            torch.nn.Conv2d(16, 10, 1, bias=False),
            torch.nn.BatchNorm2d(10),
        )
    )
    old = model[0]
    (report,) = replace_blocks(
        model, [dict(target="0", with_=dict(type="ACHBottleneck"))], (10, 8, 8)
    )
    assert report.num_selected == 4
    assert torch.equal(model[0].depthwise.conv.weight, old[2].weight)
    assert torch.equal(model[0].project.conv.weight, old[4].weight)


def test_state_dict_round_trip_and_gradients(tmp_path):
    model, _ = replaced()
    torch.save(model.state_dict(), tmp_path / "model.pth")
    other, _ = replaced()
    other.load_state_dict(torch.load(tmp_path / "model.pth", weights_only=True))
    x = torch.randn(4, *SHAPE)
    model.eval()
    other.eval()
    assert torch.equal(model(x)[0], other(x)[0])
    model.train()
    (model(x)[0] ** 3).mean().backward()
    assert model.layer10.expand.scores.conv.weight.grad.abs().max() > 0


def test_a_replaced_network_exports():
    model, _ = replaced()
    model.eval()
    x = torch.randn(2, *SHAPE)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


def test_the_config_key_counts_and_forwards():
    config = dict(
        type="ReplacedBackbone",
        backbone=dict(type="mmpretrain.MobileNetV3", arch="small"),
        replace="mobilenetv3_small_9_10",
        input_shape=SHAPE,
    )
    model = MODELS.build(config)
    assert len(model.replacements) == 2
    assert model(torch.randn(1, *SHAPE))[0].shape[1] == 576


def test_what_cannot_be_replaced_is_refused():
    with pytest.raises(ValueError, match=r"no block 'layer15'; these exist: .*layer11"):
        replaced("layer15")
    with pytest.raises(ValueError, match="layer10 has out_channels=96, but the new block has"):
        replaced(out_channels=64)
    with pytest.raises(ValueError, match="layer10 has stride=1"):
        replaced(stride=2)
    with pytest.raises(ValueError, match=r"preset must be one of \['mobilenetv3_small_0'"):
        replace_blocks(MobileNetV3("small"), "mobilenetv3_small_7")
