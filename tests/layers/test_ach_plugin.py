"""The plug-in layer, alone and inside mmdet's ResNet and RetinaNet."""

from pathlib import Path

import pytest
import torch
from mmcv.cnn import build_plugin_layer
from mmdet.models.backbones import ResNet
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

from mmhadaptive.layers import ACHPlugin

ROOT = Path(__file__).resolve().parents[2]


def plugins(**cfg):
    stages = (False, False, True, True)
    cfg = dict(type="ACHPlugin", num_selected=16, **cfg)
    return [dict(cfg=cfg, stages=stages, position="after_conv2")]


@pytest.mark.parametrize("training", [True, False])
def test_a_fresh_plugin_is_the_identity(training):
    torch.manual_seed(0)
    _, layer = build_plugin_layer(dict(type="ACHPlugin", num_selected=4), in_channels=8)
    layer.init_weights()
    x = torch.randn(2, 8, 5, 7)
    torch.testing.assert_close(layer.train(training)(x), x, rtol=0, atol=1e-6)


def test_mmdets_resnet_keeps_its_features():
    torch.manual_seed(0)
    plain = ResNet(50, base_channels=8)
    plugged = ResNet(50, base_channels=8, plugins=plugins())
    plugged.init_weights()
    plain.load_state_dict({name: plugged.state_dict()[name] for name in plain.state_dict()})
    x = torch.randn(2, 3, 64, 64)
    plain.eval()
    plugged.eval()
    count = sum(isinstance(module, ACHPlugin) for module in plugged.modules())
    assert count == 6 + 3
    with torch.no_grad():
        for ours, theirs in zip(plugged(x), plain(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_gradients_reach_the_scores_after_the_first_step():
    torch.manual_seed(0)
    layer = ACHPlugin(8, num_selected=4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.randn(4, 8, 6, 6)
    for _ in range(2):
        optimizer.zero_grad()
        (layer(x) ** 3).mean().backward()
        optimizer.step()
    assert layer.ach.scores.conv.weight.grad.abs().max() > 0
    assert layer.project.weight.abs().max() > 0


def test_state_dict_round_trip(tmp_path):
    torch.manual_seed(0)
    layer = ACHPlugin(8, num_selected=4).eval()
    torch.nn.init.normal_(layer.project.weight)
    torch.save(layer.state_dict(), tmp_path / "layer.pth")
    other = ACHPlugin(8, num_selected=4).eval()
    other.load_state_dict(torch.load(tmp_path / "layer.pth", weights_only=True))
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(layer(x), other(x))


def test_a_stride_is_refused():
    with pytest.raises(ValueError, match=r"stride=2.*ACHBottleneck"):
        ACHPlugin(8, num_selected=4, stride=2)


def test_the_fine_tuned_retinanet_takes_a_step():
    config = Config.fromfile(ROOT / "configs" / "plugin" / "retinanet_r50_ach_coco.py")
    config.model.backbone.init_cfg = None
    config.model.backbone.base_channels = 8
    # Trained weights have no norm3 of zero, which would keep gradients from the plugins.
    config.model.backbone.zero_init_residual = False
    config.model.neck.in_channels = [32, 64, 128, 256]
    torch.manual_seed(0)
    model = MODELS.build(dict(config.model, _scope_="mmdet"))
    model.init_weights()
    model.train()
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), pad_shape=(64, 64), scale_factor=1))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]), labels=torch.tensor([3])
    )
    losses = model.loss(torch.randn(1, 3, 64, 64), [sample])
    total = sum(sum(value) if isinstance(value, list) else value for value in losses.values())
    total.backward()
    projections = [
        module.project.weight.grad for module in model.modules() if isinstance(module, ACHPlugin)
    ]
    assert len(projections) == 9
    assert all(gradient.abs().max() > 0 for gradient in projections)
    assert torch.isfinite(total)
