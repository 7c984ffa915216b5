"""Replacing named blocks: widths, weights, report, presets, export, errors."""

import copy
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn

from mmhadaptive.layers import ACHBottleneck, AdaptiveCrossHadamard, adaptive_layers
from mmhadaptive.models import replace_blocks

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted((ROOT / "configs" / "replacement").glob("*.py"))
COUNTS = {
    entry["config"]: entry["parameters"]
    for entry in json.loads((ROOT / "docs/results/replacement.json").read_text())["networks"]
}
ACH = dict(type="ACHBottleneck")


def mobilenet():
    torch.manual_seed(0)
    return MODELS.build(dict(_scope_="mmpretrain", type="MobileNetV3", arch="small"))


def last_two(**kwargs):
    return [dict(target=f"layer{i}", with_=dict(ACH, **kwargs)) for i in (10, 11)]


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model, image):
    """Multiply-accumulates by hooks: convolutions, linear layers, one for each product."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Conv1d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, AdaptiveCrossHadamard):
            total += (module.out_channels - module.in_channels) * output[0, 0].numel()

    handles = [module.register_forward_hook(count) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        model(image)
    for handle in handles:
        handle.remove()
    return total


def test_report_agrees_with_an_independent_count():
    model = mobilenet()
    image = torch.zeros(1, 3, 224, 224)
    before = parameters(model), count_macs(model, image)
    report = replace_blocks(model, last_two(se_ratio=4))
    after = parameters(model), count_macs(model, image)
    assert report.parameters == (before[0], after[0])
    assert report.macs == (before[1], after[1])
    for block in report.blocks:
        assert (block.in_channels, block.out_channels, block.stride) == (96, 96, 1)
    # Public code of the authors: 32 channels, of which 496 products, 592 in all.
    assert [layer.num_selected for layer in adaptive_layers(model)] == [32, 32]
    assert "layer11: InvertedResidual -> ACHBottleneck" in str(report)


@pytest.mark.parametrize(("layer", "widths", "stride"), [(1, (16, 16), 2), (9, (48, 96), 2)])
def test_widths_and_stride_are_kept(layer, widths, stride):
    model = mobilenet()
    model.eval()
    shapes = [y.shape for y in model(torch.zeros(2, 3, 96, 64))]
    report = replace_blocks(model, [dict(target=f"layer{layer}", with_=ACH)], count_macs=False)
    block = report.blocks[0]
    assert ((block.in_channels, block.out_channels), block.stride) == (widths, stride)
    assert [y.shape for y in model(torch.zeros(2, 3, 96, 64))] == shapes
    assert report.macs is None


def test_matching_weights_are_kept():
    torch.manual_seed(0)
    old = ACHBottleneck(8, 8, num_selected=4, kernel_size=5)
    model = nn.Sequential(nn.Conv2d(3, 8, 1), old)
    for tensor in old.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1)
    replace_blocks(model, [dict(target="1", with_=ACH)], (torch.zeros(1, 3, 8, 8),))
    new = model[1]
    assert new is not old
    for name in ("depthwise.conv.weight", "depthwise.bn.running_var", "project.conv.weight"):
        assert torch.equal(new.state_dict()[name], old.state_dict()[name]), name
    assert not torch.equal(new.expand.pointwise.conv.weight, old.expand.pointwise.conv.weight)
    # Of another width only what hangs on the block's output fits.
    report = replace_blocks(
        model, [dict(target="1", with_=dict(ACH, num_selected=5))], (torch.zeros(1, 3, 8, 8),)
    )
    assert {name.rpartition(".")[0] for name in report.blocks[0].transferred} == {"project.bn"}
    assert torch.equal(model[1].project.bn.weight, old.project.bn.weight)


def test_state_dict_round_trip_and_untouched_keys():
    original, model = mobilenet(), mobilenet()
    replace_blocks(model, last_two(), count_macs=False)
    other = copy.deepcopy(original)
    replace_blocks(other, last_two(), count_macs=False)
    other.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 64, 64)
    model.eval(), other.eval()
    assert torch.equal(model(x)[0], other(x)[0])
    for key, value in original.state_dict().items():
        if not key.startswith(("layer10.", "layer11.")):
            assert torch.equal(model.state_dict()[key], value), key


def test_modes_of_the_model_stay():
    model = mobilenet()
    model.layer0.eval()
    replace_blocks(model, last_two(), count_macs=False)
    assert model.layer11.project.training
    assert not model.layer0.training


def test_gradients_reach_the_scores():
    model = mobilenet()
    replace_blocks(model, last_two(), count_macs=False)
    model(torch.randn(4, 3, 64, 64))[0].square().sum().backward()
    assert all(layer.scores.weight.grad.abs().sum() > 0 for layer in adaptive_layers(model))


def test_exports_and_compiles(tmp_path):
    model = mobilenet()
    replace_blocks(model, last_two(se_ratio=4), count_macs=False)
    model.eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(x)[0]
        exported = torch.export.export(model, (x,))
        torch.testing.assert_close(exported.module()(x)[0], expected)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x)[0], expected)
        path = tmp_path / "model.onnx"
        torch.onnx.export(model, (x,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(output, expected.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_builds_and_trains(path):
    if "mobilenetv4" in path.stem or "starnet" in path.stem:
        pytest.importorskip("timm")
    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    cfg.model.report = False
    cfg.model.data_preprocessor = cfg.data_preprocessor
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg.model)
        model.init_weights()
    assert type(model).__name__ in ("ImageClassifier", "TimmClassifier")
    assert len(list(adaptive_layers(model))) == len(cfg.model.replace)
    assert parameters(model) == COUNTS[path.stem][1]
    logits = model.train()(torch.randn(2, 3, 64, 64))
    (logits[0] if isinstance(logits, tuple) else logits).square().sum().backward()
    for layer in adaptive_layers(model):
        assert layer.scores.weight.grad.abs().sum() > 0


def test_pretrained_weights_reach_the_new_blocks(tmp_path):
    original = mobilenet()
    nn.init.uniform_(original.layer11.linear_conv.bn.running_mean)
    torch.save(original.state_dict(), tmp_path / "weights.pth")
    backbone = dict(
        type="MobileNetV3",
        arch="small",
        init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "weights.pth")),
    )
    model = MODELS.build(
        dict(
            _scope_="mmpretrain",
            type="ReplaceBlocks",
            model=backbone,
            replace=last_two(),
            report=False,
        )
    )
    model.init_weights()
    assert torch.equal(
        model.layer3.expand_conv.conv.weight, original.layer3.expand_conv.conv.weight
    )
    assert torch.equal(
        model.layer11.project.bn.running_mean, original.layer11.linear_conv.bn.running_mean
    )


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        (dict(target="layer15", with_=ACH), KeyError, r"MobileNetV3 has layer0, .*layer12"),
        (dict(target="layer11.foo", with_=ACH), KeyError, "InvertedResidual.* has drop_path, "),
        (dict(target="", with_=ACH), ValueError, "target must be"),
        (dict(target="layer11"), ValueError, "keys target and with_"),
        (
            dict(target="layer11", with_=dict(ACH, out_channels=64)),
            ValueError,
            "layer11 .*96 -> 96 channels, stride 1.* out_channels is not the same",
        ),
        (dict(target="layer9", with_=dict(ACH, stride=1)), ValueError, "stride is not the same"),
        (dict(target="layer11", with_=dict(ACH, num_selected=97)), ValueError, "got 97"),
        (dict(target="layer9", with_=dict(type="ACHPlugin", num_selected=4)), ValueError, "stride"),
        (dict(target="layer9", with_=dict(type=nn.Identity)), ValueError, r"not \(1, 96, 7, 7\)"),
        (dict(target="layer11", with_=dict(type="NoSuch")), KeyError, "NoSuch.*not registered"),
        (dict(target="layer11.expand_conv.norm", with_=ACH), KeyError, "has conv, bn, activate"),
        (
            dict(target="layer2", with_=dict(ACH, hidden_channels=999)),
            ValueError,
            "16 channels cannot be expanded to 999",
        ),
    ],
)
def test_errors_leave_the_model_alone(entry, error, message):
    model = mobilenet()
    blocks = dict(model.named_modules())
    entries = [dict(target="layer10", with_=ACH), entry]
    with pytest.raises(error, match=message):
        replace_blocks(model, entries, count_macs=False)
    assert dict(model.named_modules()) == blocks
    assert model.training


def test_a_network_that_needs_the_old_block_gets_it_back():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Conv2d(3, 8, 1)

        def forward(self, x):
            return self.block(x) * self.block.weight.mean()

    model = Net()
    block = model.block
    with pytest.raises(AttributeError, match="weight"):
        replace_blocks(model, [dict(target="block", with_=dict(ACH, num_selected=2))])
    assert model.block is block


def test_overlapping_and_unused_targets():
    with pytest.raises(ValueError, match="overlap"):
        replace_blocks(mobilenet(), [*last_two(), *last_two()])
    model = nn.ModuleDict(dict(used=nn.Conv2d(3, 8, 1), spare=nn.Conv2d(3, 8, 1)))
    model.forward = lambda x: model["used"](x)
    with pytest.raises(ValueError, match=r"spare .*in a pass of the model"):
        replace_blocks(model, [dict(target="spare", with_=ACH)])


def test_the_documented_accuracies_are_those_of_the_record():
    record = json.loads((ROOT / "docs/results/replacement_cifar100.json").read_text())
    text = (ROOT / "docs/plugin.md").read_text()
    pairs = {}
    for entry in record["summary"]:
        pairs.setdefault(entry["config"], []).append(entry)
    for config, (original, replaced) in pairs.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{config}`")]
        top1 = [f"{e['top1_mean']:.2f} ± {e['top1_spread']:.2f}" for e in (original, replaced)]
        assert " → ".join(top1) in row
        assert f"{original['last_loss_mean']:.3f} → {replaced['last_loss_mean']:.3f}" in row
