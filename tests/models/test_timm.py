"""Hadaptive-Net as a model of timm."""

import pytest
import timm
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import nn

import mmhadaptive.timm
from mmhadaptive.models import HadaptiveNet

ARCHS = ("s", "m", "l")
CONFIG = "configs/_base_/models/hadaptive_s_classifier.py"


@pytest.fixture(scope="module")
def pair():
    """mmpretrain's classifier for 100 classes, and timm's with its weights."""
    cfg = Config.fromfile(CONFIG).model
    cfg.head.update(num_classes=100, loss=dict(type="CrossEntropyLoss"))
    reference = MODELS.build(dict(cfg, _scope_="mmpretrain")).eval()
    overlay = dict(state_dict=dict(reference.state_dict()), num_classes=100)
    model = timm.create_model("hadaptive_s", pretrained=True, pretrained_cfg_overlay=overlay)
    return reference, model.eval()


def test_it_is_the_classifier_of_mmpretrain(pair):
    reference, model = pair
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == sum(parameter.numel() for parameter in reference.parameters()) == 2_101_992
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x), reference(x))
        features = model.forward_features(x)
        assert torch.equal(features, reference.backbone(x)[-1])
        hidden = model.forward_head(features, pre_logits=True)
        assert torch.equal(hidden, reference.head.pre_logits(reference.neck((features,))))
    dropouts = [m.p for m in reference.head.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == dropouts == [0.3]


@pytest.mark.parametrize("arch", ARCHS)
def test_features_are_those_of_the_backbone(arch):
    model = timm.create_model(f"hadaptive_{arch}", features_only=True).eval()
    stages = len(model.feature_info.channels())
    backbone = HadaptiveNet(arch, out_indices=range(stages)).eval()
    weights = {k.replace("stages_", "stages."): v for k, v in model.state_dict().items()}
    backbone.load_state_dict(weights)
    x = torch.randn(1, 3, 128, 64)
    with torch.no_grad():
        features, outputs = model(x), backbone(x)
    assert stages == len(features) == (6 if arch == "l" else 5)
    info = zip(model.feature_info.channels(), model.feature_info.reduction(), strict=True)
    for feature, output, (channels, stride) in zip(features, outputs, info, strict=True):
        assert torch.equal(feature, output)
        assert feature.shape == (1, channels, 128 // stride, 64 // stride)


def test_features_at_chosen_indices():
    model = timm.create_model("hadaptive_s", features_only=True, out_indices=(2, 5), in_chans=1)
    assert model.feature_info.channels() == [64, 960]
    assert model.feature_info.reduction() == [8, 32]
    shapes = [tuple(y.shape) for y in model.eval()(torch.randn(1, 1, 64, 64))]
    assert shapes == [(1, 64, 8, 8), (1, 960, 2, 2)]


def test_classifier_and_pooling():
    model = timm.create_model("hadaptive_s", num_classes=7, drop_rate=0.1, in_chans=4).eval()
    x = torch.randn(2, 4, 64, 64)
    assert model(x).shape == (2, 7)
    assert (model.num_classes, model.num_features, model.head_hidden_size) == (7, 960, 1280)
    assert model.head.drop.p == 0.1
    assert model.get_classifier() is model.get_submodule(model.default_cfg["classifier"])
    model.reset_classifier(3, "max")
    assert model(x).shape == (2, 3)
    assert torch.equal(model.head.global_pool(x).flatten(1), x.amax((2, 3)))
    model.reset_classifier(0)
    assert model(x).shape == (2, 1280)
    model.reset_classifier(0, "")
    assert model(x).shape == (2, 1280, 2, 2)
    assert timm.create_model("hadaptive_s", num_classes=0).eval()(x[:, :3]).shape == (2, 1280)


def test_no_weights_are_published():
    with pytest.raises(RuntimeError, match="No pretrained weights exist for hadaptive_s"):
        timm.create_model("hadaptive_s", pretrained=True)
    names = [f"hadaptive_{arch}" for arch in sorted(ARCHS)]
    assert timm.list_models("hadaptive*") == names
    assert not timm.list_models("hadaptive*", pretrained=True)
    assert set(names) < set(mmhadaptive.timm.__all__)


def test_images_are_prepared_as_for_the_configs():
    model = timm.create_model("hadaptive_l")
    data = timm.data.resolve_model_data_config(model)
    test = Config.fromfile("configs/classification/imagenet/hadaptive_l_imagenet.py")
    preprocessor = test.data_preprocessor
    assert data["input_size"] == (3, 224, 224)
    torch.testing.assert_close([255 * v for v in data["mean"]], list(preprocessor.mean))
    torch.testing.assert_close([255 * v for v in data["std"]], list(preprocessor.std))
    _, resize, crop, _ = test.test_dataloader.dataset.pipeline
    assert data["crop_pct"] == crop.crop_size / resize.scale
    with torch.no_grad():
        features = model.eval().forward_features(torch.zeros(1, 3, 224, 224))
    assert features.shape[2:] == model.default_cfg["pool_size"]


def test_gradients_with_recomputation():
    model = timm.create_model("hadaptive_s", num_classes=2)
    gradients = []
    for enable in (True, False):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        torch.manual_seed(0)
        calls = []
        handle = model.stages[3][1].expand.register_forward_hook(lambda *_, c=calls: c.append(1))
        model(torch.randn(2, 3, 32, 32)).sum().backward()
        handle.remove()
        assert len(calls) == 1 + enable
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
