"""Tiny models whose weights make a difference everywhere, and what was exported of them."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch.nn.modules.batchnorm import _BatchNorm

import mmhadaptive.models  # noqa: F401  registers the backbone
from mmhadaptive.layers import DynamicNorm

from ..paths import CONFIGS

# Stages of strides 2 to 32.
ARCH = [
    [("conv", 8, 2, 2, None)],
    [("conv", 8, 2, 2, "HSwish")],
    [("ghost", 16, 2, 2, 2)],
    [("ghost", 16, 2, 2, 2), ("ach", 16, 6, 5)],
    [("ghost", 24, 2, 2, 2), ("ach", 24, 5, 3)],
]
PREPROCESSOR = dict(mean=[120.0, 110.0, 100.0], std=[58.0, 57.0, 56.0])
CLASSIFIER = dict(
    type="ImageClassifier",
    data_preprocessor=dict(type="ClsDataPreprocessor", to_rgb=True, **PREPROCESSOR),
    backbone=dict(type="HadaptiveNet", arch=ARCH, final_channels=32),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="StackedLinearClsHead",
        num_classes=7,
        in_channels=32,
        mid_channels=[16],
        act_cfg=dict(type="HSwish"),
    ),
)
DET_PREPROCESSOR = dict(
    type="DetDataPreprocessor", bgr_to_rgb=True, pad_size_divisor=1, **PREPROCESSOR
)


def scatter(model):
    """Give a model weights that no initialisation has, the same each time."""
    generator = torch.Generator().manual_seed(1)

    def fill(t, low, high):
        t.copy_(torch.rand(t.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                fan = module.weight[0].numel()
                fill(module.weight, -1.7 / fan**0.5, 1.7 / fan**0.5)
                if module.bias is not None:
                    fill(module.bias, -1, 0.2)
            elif isinstance(module, _BatchNorm):
                fill(module.running_mean, -0.2, 0.2)
                fill(module.running_var, 0.5, 1.5)
                fill(module.weight, 0.5, 1.5)
                fill(module.bias, -0.3, 0.3)
            elif isinstance(module, DynamicNorm):
                fill(module.alpha, -1, -0.4)
                fill(module.weight, -1.5, 1.5)
                fill(module.bias, -0.5, 0.5)
    return model.eval()


def build(config, scope):
    with DefaultScope.overwrite_default_scope(scope):
        return scatter(MODELS.build(copy.deepcopy(config)))


def detector_config(name, **test_cfg):
    """The model of one of our configs, with the tiny backbone."""
    model = Config.fromfile(CONFIGS / "detection" / name).model
    model.data_preprocessor = DET_PREPROCESSOR
    model.backbone.arch = ARCH
    model.backbone.pop("init_cfg", None)
    model.test_cfg.update(score_thr=0.05, max_per_img=20, **test_cfg)
    return model


@pytest.fixture(scope="session")
def classifier():
    return build(CLASSIFIER, "mmpretrain")


@pytest.fixture(scope="session")
def ssd():
    """Some levels have more scores than ``nms_pre``."""
    model = detector_config("ssd_hadaptive_s_digits.py", nms_pre=60)
    model.neck.update(in_channels=[16, 16, 24], out_channels=8)
    model.bbox_head.update(num_classes=3, in_channels=(8, 8, 8))
    return build(model, "mmdet")


@pytest.fixture(scope="session")
def rtmdet():
    model = detector_config("rtmdet_hadaptive_s_bccd.py")
    model.neck.update(in_channels=(16, 16, 24), out_channels=16, num_selected=5)
    model.bbox_head.update(in_channels=16, feat_channels=16, stacked_convs=1)
    model = build(model, "mmdet")
    for conv in model.bbox_head.rtm_reg:
        # Distances to the sides are positive.
        torch.nn.init.constant_(conv.bias, 2)
        conv.weight.data *= 0.3
    return model
