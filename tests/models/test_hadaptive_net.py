"""Hadaptive-Net: published sizes, outputs, options."""

from decimal import Decimal

import pytest
import torch
from mmcv.cnn import ConvModule
from mmpretrain.registry import MODELS as CLS_MODELS
from torch import nn

from mmhadaptive.analysis.complexity import complexity
from mmhadaptive.io.published import published_figures
from mmhadaptive.layers import AdaptiveCrossHadamard
from mmhadaptive.models import HadaptiveNet
from mmhadaptive.models.backbones.hadaptive_net import ARCHITECTURES

# Table 9 of the paper, with "N" where its activation is None and "HS" where it is Hardswish.
TABLE_9 = """
conv 32 2 2 N
conv 48 2 2 HS
conv 32 1 1 HS
ghost 64 4 2 2
ghost 64 2 3 1
ghost 96 4 2 2
ach 96 16 5
ach 96 16 5
ghost 96 2 5 1
ach 96 16 5
ach 96 16 5
ghost 128 6 2 2
ach 128 32 7
ach 128 32 7
"""
TINY = [
    [("conv", 8, 2, 2, None)],
    [("conv", 12, 2, 2, None), ("conv", 8, 1, 1, "HSwish")],
    [("ghost", 16, 2, 2, 2), ("ach", 16, 4, 3)],
]


def classifier(arch):
    return CLS_MODELS.build(
        dict(
            type="ImageClassifier",
            _scope_="mmpretrain",
            backbone=dict(type="HadaptiveNet", arch=arch),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(
                type="StackedLinearClsHead",
                num_classes=100,
                in_channels=960,
                mid_channels=[1280],
                dropout_rate=0.3,
                act_cfg=dict(type="HSwish"),
                loss=dict(type="CrossEntropyLoss"),
            ),
        )
    ).eval()


def test_table_9():
    names = {"None": "N", "HSwish": "HS"}
    rows = [row for stage in ARCHITECTURES["s"] for row in stage]
    lines = [" ".join(names.get(str(cell), str(cell)) for cell in row) for row in rows]
    assert lines == TABLE_9.split("\n")[1:-1]


@pytest.mark.parametrize("arch", "sml")
def test_only_the_first_convolution_is_linear(arch):
    first, *rest = (m for m in HadaptiveNet(arch).modules() if isinstance(m, ConvModule))
    stem = [m for m in rest if m.conv.groups == 1 and m.conv.stride == (2, 2)]
    assert not first.with_activation
    assert [type(m.activate) for m in stem] == [nn.Hardswish]


@pytest.mark.parametrize("arch", "sml")
def test_table_7(arch):
    model = classifier(arch)
    network = nn.Sequential(model.backbone, model.neck, model.head)
    counts = complexity(network, (3, 224, 224))
    (printed,) = (f for f in published_figures() if f.name == f"hadaptive_{arch}_cifar100")
    # The paper rounds some figures up and some down.
    for ours, theirs in (
        (counts["parameters"], printed.parameters),
        (counts["macs"], printed.flops),
    ):
        assert abs(ours - theirs) < Decimal((0, (1,), theirs.as_tuple().exponent))


@pytest.mark.parametrize(("arch", "last"), [("s", 4), ("m", 4), ("l", 5)])
def test_outputs_by_stride(arch, last):
    model = HadaptiveNet(arch, out_indices=range(last + 2)).eval()
    with torch.no_grad():
        outputs = model(torch.randn(1, 3, 128, 192))
    for i, (output, channels) in enumerate(zip(outputs, model.out_channels, strict=True)):
        stride = 2 ** (min(i, last) + 1)
        assert output.shape == (1, channels, 128 // stride, 192 // stride)
    assert outputs[-1].shape[1] == 960


def test_unused_stages_are_not_built():
    model = HadaptiveNet("s", out_indices=(2, 3))
    assert len(model.stages) == 4
    sum(output.sum() for output in model(torch.randn(2, 3, 32, 32))).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("size", [(33, 47), (63, 32), (101, 99)])
def test_sizes_that_strides_do_not_divide(size):
    model = HadaptiveNet("s", out_indices=(2, 3, 4)).eval()
    outputs = model(torch.randn(1, 3, *size))
    for i, output in zip((2, 3, 4), outputs, strict=True):
        assert output.shape[2:] == (size[0] // 2 ** (i + 1), size[1] // 2 ** (i + 1))


def test_too_small_an_input():
    with pytest.raises(ValueError, match="31x64 is smaller than the stride 32"):
        HadaptiveNet("s")(torch.randn(1, 3, 31, 64))


def test_custom_table_and_ach_options():
    model = HadaptiveNet(TINY, out_indices=(1, 2), ach_cfg=dict(selection="static", tau=1.0))
    layers = [m for m in model.modules() if isinstance(m, AdaptiveCrossHadamard)]
    assert [(layer.selection, layer.temperature.tau.item()) for layer in layers] == [("static", 1)]
    assert [tuple(y.shape) for y in model(torch.randn(2, 3, 16, 16))] == [
        (2, 8, 4, 4),
        (2, 16, 2, 2),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(arch="xl"), "arch must be one of"),
        (dict(out_indices=(7,)), "out_indices must ascend"),
        (dict(out_indices=(3, 2)), "out_indices must ascend"),
        (dict(out_indices=()), "out_indices must ascend"),
        (dict(frozen_stages=5), "frozen_stages must be in"),
        (dict(arch=[[("dense", 8, 2, 2)]]), "conv, pointwise, ghost or ach"),
        (dict(arch=[[("conv", 8, 2, 2, None), ("ach", 8, 9, 3)]]), "num_selected .*got 9"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        HadaptiveNet(**arguments)


def test_frozen_stages_do_not_train():
    model = HadaptiveNet(TINY, out_indices=(0, 2), frozen_stages=2)
    model.train()
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(
        module.training for module in model.stages.modules() if module is not model.stages
    )
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(model(x)[1], model(x)[1])
    model = HadaptiveNet(TINY, out_indices=(2,), frozen_stages=0).train()
    assert not model.stages[0].training
    assert model.stages[1].training


def test_norm_eval_keeps_running_statistics():
    model = HadaptiveNet(TINY, norm_eval=True).train()
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    model(torch.randn(4, 3, 16, 16))
    for key, value in before.items():
        assert torch.equal(model.state_dict()[key], value), key


def test_checkpointing_gives_the_same_gradients():
    torch.manual_seed(0)
    plain = HadaptiveNet(TINY)
    recomputed = HadaptiveNet(TINY, with_cp=True)
    recomputed.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 16, 16)
    gradients = []
    for model in (plain, recomputed):
        torch.manual_seed(1)
        model(x)[0].square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_init_weights_keeps_the_normalisation_of_products():
    model = HadaptiveNet(TINY)
    model.init_weights()
    norm = next(m for m in model.modules() if isinstance(m, AdaptiveCrossHadamard)).product_norm
    assert norm.alpha.item() == 0.5
    assert torch.equal(norm.weight, torch.ones_like(norm.weight))


def test_classifier_trains_and_predicts():
    model = classifier("s").train()
    loss = model.head(model.extract_feat(torch.randn(2, 3, 32, 32))).sum()
    loss.backward()
    assert model.backbone.stages[0][0].conv.weight.grad.abs().sum() > 0


def test_a_shorter_backbone_leaves_out_later_stages():
    whole, shorter = HadaptiveNet(TINY), HadaptiveNet(TINY, out_indices=(1,))
    result = shorter.load_state_dict(whole.state_dict())
    assert not result.unexpected_keys
    weights = whole.state_dict()
    for name, value in shorter.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)
    # The other way something is missing, and other names are still unknown.
    with pytest.raises(RuntimeError, match="Missing key"):
        whole.load_state_dict(shorter.state_dict())
    with pytest.raises(RuntimeError, match="Unexpected key"):
        shorter.load_state_dict(dict(weights, extra=weights["stages.0.0.conv.weight"]))
