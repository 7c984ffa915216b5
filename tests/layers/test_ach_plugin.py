"""The plug-in layer in mmdet's and mmpretrain's networks."""

import pytest
import torch
from mmcv.cnn import build_plugin_layer
from mmdet.registry import MODELS as DET_MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmpretrain.registry import MODELS as CLS_MODELS
from mmpretrain.structures import DataSample

from mmhadaptive.layers import ACHPlugin, adaptive_layers

from ..paths import CONFIGS

CONFIG = CONFIGS / "plugin" / "retinanet_r50_ach_coco.py"
PLUGINS = [
    dict(
        cfg=dict(type="ACHPlugin", num_selected=4),
        stages=(False, False, True, True),
        position="after_conv2",
    )
]
RESNET = dict(_scope_="mmdet", type="ResNet", depth=50, base_channels=8)


def randomise_statistics(model):
    """Running statistics and affine weights as a trained network has them."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("init_cfg", [None, [dict(type="Kaiming", layer="Conv2d")]])
def test_fresh_plugins_change_nothing(training, init_cfg):
    torch.manual_seed(0)
    plain = DET_MODELS.build(dict(RESNET, init_cfg=init_cfg))
    plain.init_weights()
    randomise_statistics(plain)
    plugged = DET_MODELS.build(dict(RESNET, init_cfg=init_cfg, plugins=PLUGINS))
    # ResNet initialises every convolution and normalisation, those of the plugins too.
    plugged.init_weights()
    missing = plugged.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all("ach_plugin" in key for key in missing.missing_keys)
    assert sum(isinstance(m, ACHPlugin) for m in plugged.modules()) == 6 + 3
    x = torch.randn(2, 3, 64, 64)
    plain.train(training), plugged.train(training)
    for a, b in zip(plain(x), plugged(x), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_mmcv_builds_it():
    name, plugin = build_plugin_layer(dict(type="ACHPlugin", num_selected=4), "_a", in_channels=8)
    assert name == "ach_plugin_a"
    assert plugin.ach.num_selected == 4


def test_a_second_initialisation_keeps_trained_weights():
    plugin = ACHPlugin(8, 4)
    plugin.init_weights()
    torch.nn.init.ones_(plugin.project.weight)
    plugin.init_weights()
    assert plugin.project.weight.min() == 1


def test_the_scores_learn_from_the_second_step_on():
    torch.manual_seed(0)
    plugin = ACHPlugin(8, 4)
    optimizer = torch.optim.SGD(plugin.parameters(), lr=0.1)
    x = torch.randn(4, 8, 5, 5)
    for _ in range(2):
        optimizer.zero_grad()
        (plugin(x) * x.roll(1, 0)).sum().backward()
        optimizer.step()
    assert plugin.ach.scores.weight.grad.abs().max() > 0


def test_state_dict_round_trip():
    torch.manual_seed(0)
    plugin, other = ACHPlugin(8, 4).eval(), ACHPlugin(8, 4).eval()
    torch.nn.init.normal_(plugin.project.weight)
    other.load_state_dict(plugin.state_dict())
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(plugin(x), other(x))
    assert not torch.equal(plugin(x), x)


def test_resnet_of_mmdet_in_a_classifier_of_mmpretrain(tmp_path):
    """It takes the checkpoint of a classifier with mmpretrain's own ResNet, and learns."""
    torch.manual_seed(0)
    head = dict(type="LinearClsHead", num_classes=5, in_channels=256)
    neck = dict(type="GlobalAveragePooling")
    own = dict(type="ResNet", depth=50, stem_channels=8, base_channels=8, expansion=4)
    plugged = dict(
        type="mmdet.ResNet",
        depth=50,
        base_channels=8,
        plugins=PLUGINS,
        norm_eval=False,
        init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "own.pth"), prefix="backbone"),
    )
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        own, plugged = (
            CLS_MODELS.build(dict(type="ImageClassifier", backbone=backbone, neck=neck, head=head))
            for backbone in (own, plugged)
        )
        own.init_weights()
        randomise_statistics(own)
        torch.save(dict(state_dict=own.state_dict()), tmp_path / "own.pth")
        plugged.init_weights()
    assert sum(isinstance(m, ACHPlugin) for m in plugged.modules()) == 6 + 3
    own.eval(), plugged.eval()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(plugged.backbone(x)[-1], own.backbone(x)[-1], rtol=0, atol=1e-5)
    plugged.train()
    optimizer = torch.optim.SGD(plugged.parameters(), lr=0.01)
    samples = [DataSample().set_gt_label(label) for label in (1, 3)]
    # The projections start at zero, so the scores have a gradient from the second step on.
    for _ in range(2):
        optimizer.zero_grad()
        plugged(x, samples, mode="loss")["loss"].backward()
        optimizer.step()
    assert all(layer.scores.weight.grad.abs().sum() > 0 for layer in adaptive_layers(plugged))


def test_a_stride_is_refused():
    with pytest.raises(ValueError, match=r"stride=2.*in_channels, num_selected"):
        ACHPlugin(8, 4, stride=2)
    plugins = [dict(PLUGINS[0], cfg=dict(PLUGINS[0]["cfg"], stride=2))]
    with pytest.raises(ValueError, match="stride=2"):
        DET_MODELS.build(dict(RESNET, plugins=plugins))


def test_detector_takes_a_step():
    torch.manual_seed(0)
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.init_cfg = None
    cfg.model.backbone.update(base_channels=8)
    cfg.model.neck.in_channels = [32, 64, 128, 256]
    cfg.model.backbone.frozen_stages = -1
    with DefaultScope.overwrite_default_scope("mmdet"):
        detector = DET_MODELS.build(cfg.model)
        detector.init_weights()
        detector.train()
        sample = DetDataSample(metainfo=dict(img_shape=(64, 64), pad_shape=(64, 64)))
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[8.0, 8.0, 50.0, 50.0]]), labels=torch.tensor([3])
        )
        optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
        # ResNet zeroes the last normalisation of a block, the plugin its projection: the gradient
        # reaches the one in the first step, the other in the second, the scores in the third.
        for _ in range(3):
            losses = detector(torch.randn(1, 3, 64, 64), [sample], mode="loss")
            total = sum(sum(v) if isinstance(v, list) else v for v in losses.values())
            assert total.isfinite()
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
    layers = list(adaptive_layers(detector))
    assert len(layers) == 9
    assert all(layer.scores.weight.grad.abs().sum() > 0 for layer in layers)
