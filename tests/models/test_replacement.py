"""Replacing named blocks: widths, weights, report, presets, export, errors."""

import copy
import json

import numpy as np
import onnxruntime
import pytest
import torch
from mmcv.cnn.bricks.transformer import FFN
from mmdet.registry import MODELS as DET_MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn

from mmhadaptive.layers import (
    ACHBottleneck,
    ACHFeedForward,
    adaptive_layers,
)
from mmhadaptive.models import replace_blocks

from ..paths import CONFIGS, RESULTS

PRESETS = sorted((CONFIGS / "replacement").glob("*.py"))
COUNTS = {
    entry["config"]: entry["parameters"]
    for entry in json.loads((RESULTS / "replacement.json").read_text())["networks"]
}
SHORT = json.loads((RESULTS / "replacement_cifar100.json").read_text())
ACH = dict(type="ACHBottleneck")


def mobilenet():
    torch.manual_seed(0)
    return MODELS.build(dict(_scope_="mmpretrain", type="MobileNetV3", arch="small"))


def last_two(**kwargs):
    return [dict(target=["layer10", "layer11"], block=dict(ACH, **kwargs))]


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_report():
    model = mobilenet()
    before = parameters(model)
    blocks = [parameters(model.layer10), parameters(model.layer11)]
    report = replace_blocks(model, last_two(se_ratio=4))
    assert report.parameters == (before, parameters(model))
    assert [block.target for block in report.blocks] == ["layer10", "layer11"]
    blocks = zip(blocks, [parameters(model.layer10), parameters(model.layer11)], strict=True)
    assert [block.parameters for block in report.blocks] == list(blocks)
    assert model.layer10 is not model.layer11
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
    report = replace_blocks(model, [dict(target=f"layer{layer}", block=ACH)])
    block = report.blocks[0]
    assert ((block.in_channels, block.out_channels), block.stride) == (widths, stride)
    assert [y.shape for y in model(torch.zeros(2, 3, 96, 64))] == shapes


class Plain(nn.Module):
    """A bottleneck as wide as the one that it replaces, so that every weight of a role fits."""

    def __init__(self, in_channels, out_channels, hidden_channels, kernel_size=3, stride=1):
        super().__init__()
        self.expand = nn.Conv2d(in_channels, hidden_channels, 1)
        self.depthwise = nn.Conv2d(
            hidden_channels,
            hidden_channels,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=hidden_channels,
        )
        self.depthwise_norm = nn.BatchNorm2d(hidden_channels)
        self.project = nn.Conv2d(hidden_channels, out_channels, 1)
        self.project_norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        y = self.depthwise_norm(self.depthwise(self.expand(x)))
        return self.project_norm(self.project(y))


PLAIN = dict(type=Plain)
RESNET = dict(depth=50, base_channels=8, stem_channels=8)


def randomise(model):
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1)


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize(
    ("network", "target", "hidden", "sources"),
    [
        # The shortcut, registered last and run last, is as dense as the projection.
        (
            dict(RESNET, _scope_="mmdet", type="ResNet"),
            "layer3.0",
            32,
            dict(project="conv3", project_norm="bn3"),
        ),
        (
            dict(RESNET, _scope_="mmpretrain", type="ResNet"),
            "layer4.0",
            64,
            dict(project="conv3", project_norm="bn3"),
        ),
        # The gate stands behind the projection.
        (
            dict(RESNET, _scope_="mmpretrain", type="SEResNet"),
            "layer2.1",
            16,
            dict(project="conv3", project_norm="bn3"),
        ),
        (
            dict(_scope_="mmpretrain", type="MobileNetV2", widen_factor=0.25),
            "layer4.0",
            48,
            {
                "depthwise": "conv.1.conv",
                "depthwise_norm": "conv.1.bn",
                "project": "conv.2.conv",
                "project_norm": "conv.2.bn",
            },
        ),
        # A gate between the two.
        (
            dict(_scope_="mmpretrain", type="MobileNetV3", arch="small"),
            "layer9",
            288,
            {
                "depthwise": "depthwise_conv.conv",
                "depthwise_norm": "depthwise_conv.bn",
                "project": "linear_conv.conv",
                "project_norm": "linear_conv.bn",
            },
        ),
    ],
    ids=["mmdet-resnet", "mmpretrain-resnet", "seresnet", "mobilenetv2", "mobilenetv3"],
)
def test_roles_come_from_the_way_of_the_data(network, target, hidden, sources, size):
    model = MODELS.build(network)
    randomise(model)
    old = model.get_submodule(target).state_dict()
    x = torch.zeros(1, 3, size, size)
    (block,) = replace_blocks(model, [dict(target=target, block=PLAIN)], (x,)).blocks
    new = model.get_submodule(target)
    assert new.project.in_channels == hidden
    kept = {name.rpartition(".")[0] for name in block.transferred}
    assert kept == set(sources)
    for role, source in sources.items():
        for key in ("weight", "running_mean"):
            if f"{source}.{key}" in old:
                assert torch.equal(new.state_dict()[f"{role}.{key}"], old[f"{source}.{key}"])


def test_a_feed_forward_keeps_its_projection():
    model = nn.Sequential(FFN(6, 21, num_fcs=2, act_cfg=dict(type="GELU")))
    project = model[0].layers[1]
    new_block = dict(type="ACHFeedForward")  # 6 + 6 * 5 / 2 = 21 channels
    replace_blocks(model, [dict(target="0", block=new_block)], (torch.zeros(1, 9, 6),))
    assert isinstance(model[0], ACHFeedForward)
    assert torch.equal(model[0].project.weight, project.weight)
    assert torch.equal(model[0].project.bias, project.bias)


@pytest.mark.parametrize("library", ["mmpretrain", "timm"])
def test_linear_layers_and_pointwise_convolutions_are_the_same(library):
    if library == "timm":
        convnext = pytest.importorskip("timm.models.convnext")
        old = convnext.ConvNeXtBlock(12)
        project = old.mlp.fc2
    else:
        from mmpretrain.models.backbones.convnext import ConvNeXtBlock

        old = ConvNeXtBlock(12)
        project = old.pointwise_conv2
    model = nn.Sequential(old)
    entry = dict(target="0", block=dict(ACH, norm_cfg=None))  # 12 + 9 * 8 / 2 = 48 channels
    (block,) = replace_blocks(model, [entry], (torch.zeros(1, 12, 8, 8),)).blocks
    assert block.transferred == ("project.conv.bias", "project.conv.weight")
    assert model[0].depthwise.conv.kernel_size == (7, 7)
    assert torch.equal(model[0].project.conv.weight[:, :, 0, 0], project.weight)
    assert torch.equal(model[0].project.conv.bias, project.bias)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_stride_does_not_depend_on_the_size_of_the_pass(size):
    """The last halving leaves 1x1 of 1x1, 1x1 of 2x2 and 2x2 of 4x4."""
    model = mobilenet()
    model.eval()
    image = torch.zeros(1, 3, 96, 64)
    shapes = [y.shape for y in model(image)]
    entries = [dict(target=f"layer{i}", block=dict(ACH, kernel_size=3)) for i in (9, 10)]
    report = replace_blocks(model, entries, (torch.zeros(1, 3, size, size),))
    assert [block.stride for block in report.blocks] == [2, 1]
    assert [y.shape for y in model(image)] == shapes


def test_a_block_that_rounds_down():
    model = nn.Sequential(nn.Conv2d(4, 8, 2, stride=2))
    # Of 7 pixels it makes 3, as a stride of 3 does that rounds up.
    with pytest.raises(ValueError, match=r"turns \(1, 4, 7, 7\) into \(1, 8, 4, 4\), not"):
        replace_blocks(model, [dict(target="0", block=PLAIN)], (torch.zeros(1, 4, 7, 7),))
    report = replace_blocks(model, [dict(target="0", block=PLAIN)], (torch.zeros(1, 4, 6, 6),))
    assert report.blocks[0].stride == 2


class OnePixel(nn.Module):
    """A block that takes nothing but a map of 1x1."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 8)

    def forward(self, x):
        return self.linear(x.flatten(1))[:, :, None, None]


def test_a_stride_that_does_not_show_is_refused():
    model = nn.Sequential(OnePixel())
    with pytest.raises(ValueError, match=r"0 \(OnePixel\) turns .* does not tell its stride"):
        replace_blocks(model, [dict(target="0", block=ACH)], (torch.zeros(1, 4, 1, 1),))
    # A block that keeps the size does not fit where only the old one's stride is hidden.
    model = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2, padding=1))
    entry = dict(target="0", block=dict(type="ACHPlugin", num_selected=4))
    with pytest.raises(ValueError, match=r"stride 2.*cannot become ACHPlugin"):
        replace_blocks(model, [entry], (torch.zeros(1, 4, 1, 1),))


def test_matching_weights_are_kept():
    torch.manual_seed(0)
    old = ACHBottleneck(8, 8, num_selected=4, kernel_size=5)
    model = nn.Sequential(nn.Conv2d(3, 8, 1), old)
    for tensor in old.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1)
    replace_blocks(model, [dict(target="1", block=ACH)], (torch.zeros(1, 3, 8, 8),))
    new = model[1]
    assert new is not old
    for name in ("depthwise.conv.weight", "depthwise.bn.running_var", "project.conv.weight"):
        assert torch.equal(new.state_dict()[name], old.state_dict()[name]), name
    assert not torch.equal(new.expand.pointwise.conv.weight, old.expand.pointwise.conv.weight)
    # Of another width only what hangs on the block's output fits.
    report = replace_blocks(
        model, [dict(target="1", block=dict(ACH, num_selected=5))], (torch.zeros(1, 3, 8, 8),)
    )
    assert {name.rpartition(".")[0] for name in report.blocks[0].transferred} == {"project.bn"}
    assert torch.equal(model[1].project.bn.weight, old.project.bn.weight)


def test_state_dict_round_trip_and_untouched_keys():
    original, model = mobilenet(), mobilenet()
    replace_blocks(model, last_two())
    other = copy.deepcopy(original)
    replace_blocks(other, last_two())
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
    replace_blocks(model, last_two())
    assert model.layer11.project.training
    assert not model.layer0.training


def test_gradients_reach_the_scores():
    model = mobilenet()
    replace_blocks(model, last_two())
    model(torch.randn(4, 3, 64, 64))[0].square().sum().backward()
    assert all(layer.scores.weight.grad.abs().sum() > 0 for layer in adaptive_layers(model))


def test_exports_and_compiles(tmp_path):
    model = mobilenet()
    replace_blocks(model, last_two(se_ratio=4))
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
    cfg.model.data_preprocessor = cfg.data_preprocessor
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg.model)
        model.init_weights()
    assert type(model).__name__ in ("ImageClassifier", "TimmClassifier")
    targets = [entry.target for entry in cfg.model.replace]
    count = sum(len(target) if isinstance(target, list) else 1 for target in targets)
    assert len(list(adaptive_layers(model))) == count
    assert parameters(model) == COUNTS[path.stem][1]
    logits = model.train()(torch.randn(2, 3, 64, 64))
    (logits[0] if isinstance(logits, tuple) else logits).square().sum().backward()
    for layer in adaptive_layers(model):
        assert layer.scores.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("entry", SHORT["summary"], ids=lambda e: f"{e['config']}-{e['variant']}")
def test_a_short_training_is_the_recorded_one(entry):
    name, settings = f"{entry['config']}_10pct_32px", SHORT["settings"]
    if "mobilenetv4" in name or "starnet" in name:
        pytest.importorskip("timm")
    cfg = Config.fromfile(CONFIGS / "replacement" / "cifar100_10pct_32px" / f"{name}.py")
    assert cfg.train_cfg.max_epochs == settings["epochs"]
    warmup, cosine = cfg.param_scheduler
    assert warmup.end == cosine.begin == 0.05 * settings["epochs"]
    assert (cosine.end, cosine.T_max) == (settings["epochs"], 0.95 * settings["epochs"])
    assert cfg.train_dataloader.dataset.dataset.fraction == settings["fraction"]
    assert cfg.train_dataloader.batch_size == settings["batch_size"]
    assert (cfg.data_preprocessor.size, cfg.data_preprocessor.padding) == (32, 4)
    if entry["variant"] == "original":
        cfg.model.replace = []
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg.model)
    assert parameters(model) == entry["parameters"]
    assert len(list(adaptive_layers(model))) == (2 if entry["variant"] == "replaced" else 0)
    stem = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert stem.stride == (settings["stem_stride"],) * 2


class Watching(Plain):
    """Keeps the width of the maps that it sees."""

    def forward(self, x):
        self.seen = x.shape[-1]
        return super().forward(x)


def with_stem(stride, model=None, replace=()):
    cfg = dict(type="ReplaceBlocks", model=model or dict(type="MobileNetV3", arch="small"))
    cfg.update(_scope_="mmpretrain", replace=list(replace), input_size=128, stem_stride=stride)
    return MODELS.build(cfg)


@pytest.mark.parametrize(("stride", "width"), [(None, 4), (1, 8), (4, 2)])
def test_the_pass_and_the_new_blocks_see_the_stride_of_the_stem(stride, width):
    replaced = with_stem(stride, replace=[dict(target="layer11", block=dict(type=Watching))])
    assert replaced.layer11.seen == width
    x = torch.zeros(2, 3, 128, 128)
    for model in (replaced, with_stem(stride)):
        assert model(x)[-1].shape[-1] == width


@pytest.mark.parametrize(
    ("stride", "model", "message"),
    [
        (0, None, "stem_stride must be positive, got 0"),
        (1, dict(type=nn.Linear, in_features=3, out_features=3), "Linear has no convolution"),
    ],
)
def test_a_stem_that_cannot_have_the_stride(stride, model, message):
    with pytest.raises(ValueError, match=message):
        with_stem(stride, model)


def test_nothing_to_replace_is_no_pass():
    model = mobilenet()
    passes = []
    model.register_forward_pre_hook(lambda *args: passes.append(args))
    report = replace_blocks(model, [])
    assert not passes
    assert (report.blocks, report.parameters) == ((), (parameters(model),) * 2)


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
        (dict(target="layer15", block=ACH), KeyError, r"MobileNetV3 has layer0, .*layer12"),
        (dict(target="layer11.foo", block=ACH), KeyError, "InvertedResidual.* has drop_path, "),
        (dict(target="", block=ACH), ValueError, "target must be"),
        (dict(target=[], block=ACH), ValueError, "target must be"),
        (dict(target=["layer11", 9], block=ACH), ValueError, "target must be"),
        (dict(target=["layer11", "layer15"], block=ACH), KeyError, "layer15"),
        (dict(target="layer11"), ValueError, "keys target and block"),
        (
            dict(target="layer11", block=dict(ACH, out_channels=64)),
            ValueError,
            "layer11 .*96 -> 96 channels, stride 1.* out_channels is not the same",
        ),
        (dict(target="layer9", block=dict(ACH, stride=1)), ValueError, "stride is not the same"),
        (dict(target="layer11", block=dict(ACH, num_selected=97)), ValueError, "got 97"),
        (dict(target="layer9", block=dict(type="ACHPlugin", num_selected=4)), ValueError, "stride"),
        (dict(target="layer9", block=dict(type=nn.Identity)), ValueError, r"not \(1, 96, 7, 7\)"),
        (dict(target="layer11", block=dict(type="NoSuch")), KeyError, "NoSuch.*not registered"),
        (dict(target="layer11.expand_conv.norm", block=ACH), KeyError, "has conv, bn, activate"),
        (
            dict(target="layer2", block=dict(ACH, hidden_channels=999)),
            ValueError,
            "16 channels cannot be expanded to 999",
        ),
    ],
)
def test_errors_leave_the_model_alone(entry, error, message):
    model = mobilenet()
    blocks = dict(model.named_modules())
    entries = [dict(target="layer10", block=ACH), entry]
    with pytest.raises(error, match=message):
        replace_blocks(model, entries)
    assert dict(model.named_modules()) == blocks
    assert model.training


class Brittle(nn.Module):
    """Two blocks, of which the second is hard to replace; every pass moves two buffers."""

    def __init__(self, refuses=False):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.norm = nn.BatchNorm2d(8).eval()
        self.second = nn.Conv2d(8, 8, 1)
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("added", torch.zeros(()))
        self.refuses = refuses

    def __setattr__(self, name, value):
        if name == "second" and getattr(self, "refuses", False) and value is not self.second:
            raise RuntimeError("no other second block")
        super().__setattr__(name, value)

    def forward(self, x):
        self.passes += 1
        self.added = self.added + 1
        return self.second(self.norm(self.first(x))) * self.second.weight.mean()


class Untransferable(nn.Conv2d):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 1)

    def state_dict(self, *args, **kwargs):
        raise RuntimeError("no weights for you")


@pytest.mark.parametrize(
    ("refuses", "new_block", "error", "message"),
    [
        (False, dict(ACH, num_selected=1), ValueError, "num_selected"),
        (False, dict(type=Untransferable), RuntimeError, "no weights for you"),
        (True, dict(type=nn.Conv2d, kernel_size=1), RuntimeError, "no other second block"),
    ],
    ids=["build", "transfer", "swap"],
)
def test_a_failure_at_the_second_block_leaves_everything(refuses, new_block, error, message):
    model = Brittle(refuses)
    modules = dict(model.named_modules())
    modes = {name: module.training for name, module in modules.items()}
    state = copy.deepcopy(model.state_dict())
    entries = [
        dict(target="first", block=dict(type=nn.Conv2d, kernel_size=1)),
        dict(target="second", block=new_block),
    ]
    with pytest.raises(error, match=message):
        replace_blocks(model, entries, (torch.zeros(1, 3, 8, 8),))
    assert dict(model.named_modules()) == modules
    assert {name: module.training for name, module in modules.items()} == modes
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules.values())
    assert state.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_overlapping_and_unused_targets():
    with pytest.raises(ValueError, match="overlap"):
        replace_blocks(mobilenet(), [*last_two(), *last_two()])
    model = nn.ModuleDict(dict(used=nn.Conv2d(3, 8, 1), spare=nn.Conv2d(3, 8, 1)))
    model.forward = lambda x: model["used"](x)
    with pytest.raises(ValueError, match=r"spare .*in a pass of the model"):
        replace_blocks(model, [dict(target="spare", block=ACH)])


@pytest.mark.parametrize(
    "name",
    ["faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "retinanet/retinanet_r50_fpn_1x_coco.py"],
)
def test_a_whole_detector(name):
    cfg = get_config(f"mmdet::{name}").model
    cfg.backbone.update(RESNET, depth=18, init_cfg=None)
    cfg.neck.update(in_channels=[8, 16, 32, 64], out_channels=8)
    head = cfg.get("rpn_head") or cfg.bbox_head
    head.update(in_channels=8, feat_channels=8)
    if "roi_head" in cfg:
        cfg.roi_head.bbox_roi_extractor.out_channels = 8
        cfg.roi_head.bbox_head.update(in_channels=8, fc_out_channels=8)
    new_block = dict(ACH, num_selected=4)
    replace = [
        dict(target=target, block=new_block) for target in ("backbone.layer3.0", "neck.fpn_convs.1")
    ]
    wrapped = dict(type="ReplaceBlocks", model=cfg, replace=replace, input_size=64)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = DET_MODELS.build(wrapped)
    assert type(model).__name__ == cfg.type
    assert type(model.backbone.layer3[0]) is type(model.neck.fpn_convs[1]) is ACHBottleneck

    image = torch.zeros(1, 3, 64, 64)
    report = replace_blocks(model, [dict(target="backbone.layer4.0", block=new_block)], (image,))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert report.parameters[1] == parameters(model)
    if hasattr(model, "roi_head"):
        # The head takes proposals and their image's size besides the image.
        with pytest.raises(ValueError, match=r"roi_head\.bbox_head .*does not run to its end"):
            replace_blocks(model, [dict(target="roi_head.bbox_head", block=new_block)], (image,))
    shape = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0))
    model.eval()
    with torch.no_grad():
        (result,) = model(image, [DetDataSample(metainfo=shape)], mode="predict")
    assert "pred_instances" in result
