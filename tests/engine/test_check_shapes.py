"""A neck, head or anchors that do not fit the backbone are refused by name before the run."""

import re

import pytest
import torch
from mmdet.models import DetTTAModel
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmhadaptive.engine import check_shapes
from mmhadaptive.engine.launch import build_runner

from ..paths import ROOT

CONFIGS = ROOT / "configs"
NECK = (80, 128, 192, 128, 128)
# ResNet's out_indices with the channels at these outputs.
RESNET_INDICES = dict(out_indices=(0, 1, 2, 3)), dict(in_channels=[32, 32, 64, 96])


def build(cfg, scope="mmdet"):
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg.model)


def load(name, **model):
    cfg = Config.fromfile(CONFIGS / f"{name}.py")
    cfg.merge_from_dict(dict(model=model))
    return cfg


WRONG = {
    "the neck has channels of another arch": (
        "detection/ssd_hadaptive_s_bccd",
        dict(backbone=dict(arch="m")),
        "backbone HadaptiveNet gives 80, 128, 192 channels at strides 8, 16, 32, "
        "but model.neck SSDNeck takes 64, 96, 128 channels",
    ),
    "the head has channels of another arch": (
        "detection/ssd_hadaptive_s_bccd",
        dict(backbone=dict(arch="m"), neck=dict(in_channels=NECK[:3], out_channels=NECK)),
        "backbone HadaptiveNet gives 80, 128, 192 channels at strides 8, 16, 32, neck SSDNeck "
        "makes of them 80, 128, 192, 128, 128 channels at strides 8, 16, 32, 64, 128, "
        "but model.bbox_head FocalSSDHead takes 64, 96, 128, 128, 128 channels",
    ),
    "the neck takes another number of maps": (
        "detection/retinanet_hadaptive_s_coco",
        dict(backbone=dict(out_indices=(2, 3, 4))),
        "backbone HadaptiveNet gives 64, 96, 128 channels at strides 8, 16, 32, "
        "but model.neck FPN takes 32, 64, 96, 128 channels",
    ),
    "the anchors have other strides": (
        "detection/retinanet_hadaptive_s_coco",
        dict(backbone=RESNET_INDICES[0], neck=RESNET_INDICES[1]),
        "at strides 2, 4, 8, 16, neck FPN makes of them 256, 256, 256, 256, 256 channels at "
        "strides 4, 8, 16, 32, 64, but the priors of model.bbox_head RetinaHead are for "
        "strides 8, 16, 32, 64, 128",
    ),
    "the points have other strides": (
        "detection/rtmdet_hadaptive_s_coco",
        dict(backbone=dict(out_indices=(1, 2, 3)), neck=dict(in_channels=[32, 64, 96])),
        "the priors of model.bbox_head RTMDetSepBNHead are for strides 8, 16, 32",
    ),
    "the neck of products has channels of another arch": (
        "detection/rtmdet_hadaptive_s_coco",
        dict(backbone=dict(arch="m")),
        "backbone HadaptiveNet gives 80, 128, 192 channels at strides 8, 16, 32, "
        "but model.neck ACHPAFPN takes 64, 96, 128 channels",
    ),
    "the proposals have other strides": (
        "detection/faster_rcnn_hadaptive_s_coco",
        dict(backbone=RESNET_INDICES[0], neck=RESNET_INDICES[1]),
        "the priors of model.rpn_head RPNHead are for strides 4, 8, 16, 32, 64",
    ),
    "the regions are cut at other strides": (
        "detection/faster_rcnn_hadaptive_s_coco",
        dict(roi_head=dict(bbox_roi_extractor=dict(featmap_strides=[8, 16, 32, 64]))),
        "backbone HadaptiveNet gives 32, 64, 96, 128 channels at strides 4, 8, 16, 32, neck FPN "
        "makes of them 256, 256, 256, 256, 256 channels at strides 4, 8, 16, 32, 64, but "
        "model.roi_head.bbox_roi_extractor SingleRoIExtractor is for strides 8, 16, 32, 64",
    ),
    "the classifier has another width": (
        "classification/cifar100/hadaptive_s_cifar100",
        dict(backbone=dict(final_channels=64)),
        "backbone HadaptiveNet gives 64 channels at strides 32, neck GlobalAveragePooling makes "
        "of them 64 channels, but model.head StackedLinearClsHead takes 960 channels",
    ),
}


@pytest.mark.parametrize(("name", "change", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named(name, change, message):
    cfg = load(name, **change)
    with pytest.raises(ValueError, match=re.escape(message)):
        check_shapes(build(cfg, cfg.default_scope), cfg.model)


def test_before_the_run_by_our_scripts_and_by_those_of_mmdet(tmp_path):
    cfg = load("detection/ssd_hadaptive_s_bccd", backbone=dict(arch="m"))
    cfg.update(work_dir=str(tmp_path), launcher="none", log_level="ERROR")
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=r"but model\.neck SSDNeck takes"):
        runner.call_hook("before_run")
    with pytest.raises(ValueError, match=r"but model\.neck SSDNeck takes"):
        build_runner(cfg)


def test_the_model_is_left_as_it_was():
    cfg = load("detection/ssd_hadaptive_s_bccd")
    model = build(cfg).train()
    model.neck.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    check_shapes(DetTTAModel(module=model), cfg.model)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(
    "name",
    [
        "mmdet::ssd/ssd300_coco.py",
        "mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py",
        "mmdet::yolox/yolox_tiny_8xb8-300e_coco.py",
        "mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py",
        "mmdet::centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco.py",
        "mmdet::ddod/ddod_r50_fpn_1x_coco.py",
        "mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py",
        "mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py",
        "mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
        "mmdet::reid/reid_r50_8xb32-6e_mot15train80_test-mot15val20.py",
        "mmpretrain::resnet/resnet18_8xb16_cifar10.py",
        "mmpretrain::deit/deit-tiny_4xb256_in1k.py",
        "mmpretrain::lenet/lenet5_mnist.py",
    ],
)
def test_the_networks_of_the_zoo_fit(name):
    cfg = get_config(name)
    check_shapes(build(cfg, cfg.default_scope), cfg.model)
