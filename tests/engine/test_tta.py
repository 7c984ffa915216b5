"""Test-time augmentation of a classifier and of a detector, with the hooks of our runtime."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import save_checkpoint

from mmhadaptive.io.user_errors import UserError

from ..paths import ROOT

# The views of each picture: as it is, and mirrored.
VIEWS = '[[dict(type="RandomFlip", prob=p) for p in (0.0, 1.0)], [dict(type="{}")]]'
CLASSIFIER = f"""
_base_ = {str(ROOT / "configs" / "classification" / "cifar100" / "hadaptive_s_cifar100.py")!r}
model = dict(head=dict(num_classes=2))
load = [dict(type="LoadImageFromFile")]
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    collate_fn=dict(type="{{collate}}"),
    dataset=dict(_delete_=True, type="CustomDataset", data_root={{root!r}}, pipeline=load),
)
test_evaluator = dict(_delete_=True, type="Accuracy", topk=1)
tta_model = dict(type="AverageClsScoreTTA")
tta_pipeline = [*load, dict(type="TestTimeAug", transforms={VIEWS.format("PackInputs")})]
"""
DETECTOR = f"""
_base_ = {{base!r}}
tta_model = dict(
    type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.99), max_per_img=9)
)
views = {VIEWS.format("PackDetInputs")}
tta_pipeline = [*_base_.test_pipeline[:-1], dict(type="TestTimeAug", transforms=views)]
"""


def build(config):
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model})


def save(model, path):
    save_checkpoint(dict(state_dict=model.state_dict()), str(path))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of four pictures in two classes."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i, name in enumerate("aabb"):
        (folder / name).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name / f"{i}.png"), rng.integers(0, 256, (32, 32, 3)))
    return folder


@pytest.mark.parametrize("collate", ["default_collate", "pseudo_collate"])
def test_classifier(images, run_here, tmp_path, collate):
    config = tmp_path / "classifier.py"
    config.write_text(CLASSIFIER.format(root=str(images), collate=collate))
    pictures = torch.stack(
        [torch.from_numpy(cv2.imread(str(path))) for path in sorted(images.rglob("*.png"))]
    ).permute(0, 3, 1, 2)
    model = build(config)
    # With the statistics of these pictures, the scores of random weights depend on the picture.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    model.backbone(model.data_preprocessor(dict(inputs=pictures))["inputs"])
    model.eval()
    out, shown = tmp_path / "out.pkl", tmp_path / "shown"
    arguments = (config, save(model, tmp_path / "weights.pth"), "--tta", "--work-dir", tmp_path)
    options = () if collate == "default_collate" else ("--show-dir", shown)
    run_here("test.py", *arguments, "--out", out, *options)
    views = [
        torch.stack([sample.pred_score for sample in model.test_step(dict(inputs=view))])
        for view in (pictures, pictures.flip(3))
    ]
    found = torch.stack([sample["pred_score"] for sample in load(out)])
    torch.testing.assert_close(found, sum(views) / 2)
    assert not torch.allclose(views[0], views[1])
    assert shown.exists() == bool(options)


def test_another_network_is_refused(images, run_here, tmp_path):
    config = tmp_path / "classifier.py"
    config.write_text(CLASSIFIER.format(root=str(images), collate="default_collate"))
    checkpoint = save(build(config).backbone, tmp_path / "backbone.pth")
    with pytest.raises(ValueError, match=r"backbone\.pth is a checkpoint of another network"):
        run_here("test.py", config, checkpoint, "--tta", "--work-dir", tmp_path)


def test_detector_merges_the_views(digits_config, run_here, tmp_path):
    config = tmp_path / "detector.py"
    config.write_text(DETECTOR.format(base=str(digits_config)))
    checkpoint, record = save(build(config), tmp_path / "weights.pth"), tmp_path / "record.json"
    out = tmp_path / "out.pkl"
    arguments = (config, checkpoint, "--tta", "--work-dir", tmp_path, "--record", record)
    run_here("test.py", *arguments, "--out", out)
    assert "coco/bbox_mAP" in json.loads(record.read_text())["metrics"]
    # A single view keeps five boxes.
    assert max(len(sample["pred_instances"]["scores"]) for sample in load(out)) > 5


def test_what_the_config_lacks_is_named(digits_config, run_here, tmp_path):
    with pytest.raises(UserError, match="needs tta_model and tta_pipeline in the config"):
        run_here("test.py", digits_config, "weights.pth", "--tta", "--work-dir", tmp_path)
