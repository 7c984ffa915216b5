"""The lean form computes what the layers do, in float64."""

import copy

import pytest
import torch

from mmhadaptive.deploy.folding import fold_norms, score_matrix
from mmhadaptive.deploy.lean import LeanBottleneck, LeanCrossHadamard, lean
from mmhadaptive.layers import ACHBottleneck, ACHPlugin, AdaptiveBottleneck, AdaptiveCrossHadamard
from mmhadaptive.layers.channel_scores import ECAScores

from .conftest import scatter

LAYERS = [
    dict(),
    dict(selection="static"),
    dict(selection="fixed"),
    dict(pointwise=False),
    dict(norm_cfg=None),
    *(dict(product_norm_cfg=dict(type=name)) for name in ("DySig", "DyAlge", "BN")),
    dict(product_norm_cfg=None),
]


def same(model, changed, channels=12, batches=(1, 3)):
    for batch in batches:
        x = torch.randn(batch, channels, 9, 7, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(changed(x), model(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", LAYERS, ids=str)
def test_bottlenecks_and_layers(options):
    torch.manual_seed(0)
    for model, kind in (
        (ACHBottleneck(12, 12, 5, kernel_size=5, ach_cfg=options), LeanBottleneck),
        (ACHBottleneck(12, 8, 5, stride=2, ach_cfg=options), LeanBottleneck),
        (AdaptiveCrossHadamard(12, 5, **options), LeanCrossHadamard),
    ):
        model = scatter(model).double()
        changed = lean(copy.deepcopy(model))
        assert type(changed) is kind
        same(model, changed)


@pytest.mark.parametrize("changes", [dict(alpha=0.0), dict(weight=0.0), dict(alpha=1.0)], ids=str)
def test_degenerate_norms(changes):
    torch.manual_seed(0)
    model = scatter(ACHBottleneck(12, 12, 5, kernel_size=5)).double()
    for name, value in changes.items():
        getattr(model.expand.product_norm, name).data[0] = value
    same(model, lean(copy.deepcopy(model)))


def test_ghost_and_what_stays():
    torch.manual_seed(0)
    ghost = dict(type="GhostExpansion", out_channels=24)
    model = scatter(AdaptiveBottleneck(ghost, 12, 12, 3, stride=2)).double()
    changed = lean(copy.deepcopy(model))
    assert type(changed) is LeanBottleneck
    same(model, changed)
    # Squeeze and excitation looks at all channels together.
    squeezed = scatter(ACHBottleneck(12, 12, 5, se_ratio=4)).double()
    changed = lean(copy.deepcopy(squeezed))
    assert type(changed) is ACHBottleneck
    assert type(changed.expand) is LeanCrossHadamard
    same(squeezed, changed)


def test_layers_within_others_and_unknown_ones():
    torch.manual_seed(0)
    plugin = scatter(ACHPlugin(12, 5)).double()
    changed = lean(copy.deepcopy(plugin))
    assert type(changed.ach) is LeanCrossHadamard
    same(plugin, changed)

    class Other(AdaptiveCrossHadamard):
        pass

    assert type(lean(Other(12, 5).eval())) is Other
    assert type(lean(AdaptiveCrossHadamard(12, 5).eval(), products=False)) is AdaptiveCrossHadamard


def test_convolutions_that_levels_share(rtmdet):
    head = copy.deepcopy(rtmdet.bbox_head)
    convs = [convs[0].conv for convs in head.cls_convs]
    assert convs[0] is convs[1] is convs[2]
    maps = [torch.randn(1, 16, size, size) for size in (8, 4, 2)]
    with torch.no_grad():
        for one, other in zip(head(maps), fold_norms(copy.deepcopy(head))(maps), strict=True):
            for a, b in zip(one, other, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fold_norms(head).modules())


def test_score_matrix():
    scores = ECAScores(5).double()
    x = torch.randn(3, 11, 4, 4, dtype=torch.float64)
    y = x.mean((2, 3)) @ score_matrix(scores.weight.detach(), 11)
    torch.testing.assert_close(y, scores(x).detach())
