"""A fused network computes what the network does."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmhadaptive.deploy import fuse
from mmhadaptive.deploy.fusion import FusedBlocks
from mmhadaptive.layers import ACHBottleneck, AdaptiveBottleneck, DynamicNorm
from mmhadaptive.models import HadaptiveNet
from mmhadaptive.ops.library import DEVICES

from ..paths import ROOT

SMALL = [
    [("conv", 12, 2, 2, None)],
    [("conv", 20, 2, 2, "HSwish"), ("conv", 24, 1, 1, "ReLU")],
    [("ghost", 24, 4, 2, 2), ("ach", 24, 8, 5), ("pointwise", 24, 3, 3, 1)],
]


def trained(model, seed=0):
    """The model as if it had been trained: no parameter or statistic has its initial value."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
        if isinstance(module, DynamicNorm):
            module.alpha.data.uniform_(0.3, 1, generator=generator)
            module.weight.data.normal_(0.5, 1, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return model.eval()


def flattened(outputs):
    parts = ([part] if torch.is_tensor(part) else flattened(part) for part in outputs)
    return [t for part in parts for t in part]


@torch.no_grad()
def check(model, *inputs, fused=None):
    """Both agree, and so does the model in float64; returns the fused one."""
    fused = fuse(model) if fused is None else fused
    found = flattened([fused(*inputs)])
    for double in (False, True):
        given = copy.deepcopy(model).eval()
        given = given.double() if double else given
        expected = flattened([given(*(x.double() if double else x for x in inputs))])
        assert len(found) == len(expected)
        for y, reference in zip(found, expected, strict=True):
            assert y.shape == reference.shape
            difference = (y - reference).abs().max()
            assert difference <= 1e-4 * reference.abs().max().clamp_min(1), difference
    return fused


def kinds(model):
    return [type(module) for module in model.modules()]


@pytest.mark.parametrize(("arch", "size"), [("s", (75, 97)), ("m", (64, 64)), ("l", (64, 85))])
def test_classification_networks(arch, size):
    torch.manual_seed(0)
    network = trained(HadaptiveNet(arch=arch))
    fused = check(network, torch.randn(2, 3, *size))
    assert kinds(fused).count(FusedBlocks) == 1
    assert not {AdaptiveBottleneck, nn.BatchNorm2d, nn.Conv2d} & set(kinds(fused))


@pytest.mark.parametrize("selection", ["eca", "static", "fixed"])
@pytest.mark.parametrize("norm", ["DySoft", "DySig", "DyAlge", "BN", None])
def test_selections_and_norms_of_products(norm, selection):
    torch.manual_seed(0)
    cfg = dict(selection=selection, product_norm_cfg=norm and dict(type=norm))
    network = trained(HadaptiveNet(arch=SMALL, ach_cfg=cfg))
    fused = check(network, torch.randn(2, 3, 33, 26))
    assert kinds(fused).count(FusedBlocks) == 1


def test_every_output_of_a_backbone():
    torch.manual_seed(0)
    network = trained(HadaptiveNet(arch=SMALL, out_indices=(0, 2)))
    fused = check(network, torch.randn(1, 3, 40, 40))
    assert kinds(fused).count(FusedBlocks) == 2


def test_the_model_is_left_alone():
    torch.manual_seed(0)
    network = HadaptiveNet(arch=SMALL).train()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    fused = fuse(network)
    assert network.training
    assert not any(module.training for module in fused.modules())
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


# Blocks that are not what the operator computes stay, and the others do not.
@pytest.mark.parametrize(
    ("options", "fused_blocks"),
    [
        (dict(act_cfg=dict(type="GELU")), 2),
        (dict(norm_cfg=dict(type="GN", num_groups=2)), 0),
        (dict(ach_cfg=dict(product_norm_cfg=dict(type="GN", num_groups=2))), 3),
    ],
)
def test_other_blocks_stay(options, fused_blocks):
    torch.manual_seed(0)
    network = trained(HadaptiveNet(arch=SMALL, **options))
    fused = fuse(network)
    check(network, torch.randn(2, 3, 32, 40), fused=fused)
    assert kinds(fused).count(AdaptiveBottleneck) > 0


@pytest.mark.parametrize("se_ratio", [None, 4])
def test_bottlenecks_in_another_network(se_ratio):
    torch.manual_seed(0)
    block = ACHBottleneck(16, 16, hidden_channels=40, kernel_size=5, se_ratio=se_ratio)
    pool = nn.AdaptiveAvgPool2d(1)
    network = trained(nn.Sequential(nn.Conv2d(3, 16, 3), block, nn.Sequential(block, pool)))
    fused = check(network, torch.randn(2, 3, 9, 11))
    assert kinds(fused).count(FusedBlocks) == (0 if se_ratio else 2)


@pytest.mark.parametrize("name", ["ssd_hadaptive_s_digits", "rtmdet_hadaptive_s_coco"])
def test_detectors(name):
    from mmdet.registry import MODELS

    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / "configs" / "detection" / f"{name}.py").model
    cfg.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = trained(MODELS.build(cfg))
    fused = check(model, torch.randn(2, 3, 107, 130))
    assert AdaptiveBottleneck not in kinds(fused)
    assert FusedBlocks in kinds(fused)


def test_neck():
    from mmhadaptive.models import ACHPAFPN

    torch.manual_seed(0)
    neck = trained(ACHPAFPN(in_channels=[16, 24], out_channels=16, num_selected=6))
    maps = torch.randn(2, 16, 13, 10), torch.randn(2, 24, 7, 5)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.neck = neck

        def forward(self, *maps):
            return self.neck(maps)

    fused = check(Network().eval(), *maps)
    assert AdaptiveBottleneck not in kinds(fused)


@pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")
def test_export_has_one_operator():
    torch.manual_seed(0)
    network = trained(HadaptiveNet(arch=SMALL))
    x = torch.randn(1, 3, 32, 32)
    fused = fuse(network)
    exported = torch.export.export(fused, (x,))
    targets = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert targets == ["mmhadaptive.fused_blocks.default"]
    assert torch.equal(exported.module()(x)[0], fused(x)[0])
