"""The example configs of mmdet's detectors on Hadaptive-Net."""

import re

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmhadaptive.analysis.input_size import input_size
from mmhadaptive.engine import check_shapes

from .paths import DOCS, ROOT
from .test_configs import samples

FOLDER = ROOT / "configs" / "detection"
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if not path.stem.startswith("ssd_"))
OF_A_LIBRARY = re.compile(r'"mm[a-z]+::.+?"')
EXTENDED = [
    *(path for path in EXAMPLES if OF_A_LIBRARY.search(path.read_text())),
    ROOT / "configs" / "plugin" / "retinanet_r50_ach_coco.py",
]


def names(paths):
    return dict(argvalues=paths, ids=[path.stem for path in paths])


@pytest.mark.parametrize("path", **names(EXAMPLES))
def test_trains_and_predicts(path):
    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    num_classes = 80
    if "roi_head" in cfg.model:
        cfg.model.train_cfg.rcnn.sampler.num = cfg.model.test_cfg.rpn.max_per_img = 32
    else:
        num_classes = cfg.model.bbox_head.num_classes
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model)
        check_shapes(model, cfg.model)
        data = dict(
            inputs=[torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8) for _ in range(2)],
            data_samples=list(samples(2, 128, num_classes)),
        )
        losses = model(**model.data_preprocessor(data, training=True), mode="loss")
        total, _ = model.parse_losses(losses)
        assert total.isfinite()
        total.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        model.eval()
        predictions = model.test_step(data)
    assert len(predictions) == 2
    assert predictions[0].pred_instances.bboxes.isfinite().all()


@pytest.mark.parametrize("path", **names(EXTENDED))
def test_keeps_the_hooks_of_the_base(path, tmp_path):
    base = tmp_path / "base.py"
    base.write_text(f"_base_ = {OF_A_LIBRARY.search(path.read_text())[0]}")
    kept, cfg = Config.fromfile(base), Config.fromfile(path)
    assert cfg.get("custom_hooks") == kept.get("custom_hooks")
    added = dict(adapt_temperature=dict(type="AdaptTemperatureHook"))
    assert cfg.default_hooks == {**kept.default_hooks, **added}


@pytest.mark.parametrize("name", ["rtmdet_s_hadaptive_s_coco", "rtmdet_hadaptive_s_coco"])
def test_the_runner_has_all_hooks(name, tmp_path):
    cfg = Config.fromfile(FOLDER / f"{name}.py")
    runner = Runner(
        torch.nn.Identity(),
        tmp_path,
        default_hooks=cfg.default_hooks,
        custom_hooks=cfg.custom_hooks,
        default_scope="mmdet",
        log_level="ERROR",
    )
    found = {type(hook).__name__ for hook in runner.hooks}
    assert found > {"AdaptTemperatureHook", "EMAHook", "PipelineSwitchHook", "CheckpointHook"}


@pytest.mark.parametrize("arch", "sm")
def test_the_sizes_of_the_images(arch):
    """The larger config differs in sizes alone: each is twice that of the smaller one."""
    small, large = (
        Config.fromfile(FOLDER / f"rtmdet_hadaptive_{arch}{size}_coco.py").to_dict()
        for size in ("", "_640")
    )
    assert input_size(Config(small)) == (320, 320)
    assert input_size(Config(large)) == (640, 640)

    def doubled(value, key=None):
        if isinstance(value, dict):
            return {name: doubled(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [doubled(each) for each in value]
        if key in ("scale", "img_scale", "crop_size", "size"):
            return tuple(2 * side for side in value)
        return value

    del large["side"]
    assert large == doubled(small)


def test_rtmdets_own_recipe():
    """Of mmdet's RTMDet-tiny: augmentation at 640 pixels, optimizer, schedule, head, assigner."""
    base = "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py"
    theirs = Config.fromfile(Config._get_cfg_path(base, "")[0])
    ours = Config.fromfile(FOLDER / "rtmdet_hadaptive_s_640_coco.py")
    plain = [dict(t) for t in theirs.train_pipeline]
    del plain[0]["backend_args"]
    assert ours.train_pipeline == plain
    for key in ("optimizer", "paramwise_cfg"):
        assert ours.optim_wrapper[key] == theirs.optim_wrapper[key]
    assert ours.param_scheduler == theirs.param_scheduler
    assert ours.model.train_cfg == theirs.model.train_cfg
    averaging, switch = theirs.custom_hooks
    assert ours.averaging == averaging
    assert ours.pipeline_switch.switch_epoch == switch.switch_epoch
    assert ours.pipeline_switch.switch_pipeline[2:] == switch.switch_pipeline[2:]
    for key in ("assigner", "loss_cls", "loss_bbox", "anchor_generator", "bbox_coder"):
        of = [c.model.train_cfg if key == "assigner" else c.model.bbox_head for c in (ours, theirs)]
        assert of[0][key] == of[1][key]


def test_the_guide_shows_a_tested_config(tmp_path):
    section = (DOCS / "detection.md").read_text().split("All of `retinanet_hadaptive_s_coco.py`")[1]
    shown = tmp_path / "shown.py"
    shown.write_text(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1])
    example = FOLDER / "retinanet_hadaptive_s_coco.py"
    assert Config.fromfile(shown).to_dict() == Config.fromfile(example).to_dict()


def test_colours_are_jittered_but_never_swapped():
    cfg = Config.fromfile(ROOT / "configs" / "ssd_hadaptive_s_coco.py")
    (jitter,) = (t for t in cfg.train_pipeline if t["type"] == "PhotoMetricDistortion")
    transform = TRANSFORMS.build(jitter)
    image = np.full((4, 4, 3), (20, 40, 220), np.uint8)
    pictures = [transform(dict(img=image.copy()))["img"] for _ in range(32)]
    # Hue moves by at most 18 of OpenCV's 180 degrees, which leaves red the largest channel.
    assert {int(picture[0, 0].argmax()) for picture in pictures} == {2}
    assert len({picture.tobytes() for picture in pictures}) > 8
