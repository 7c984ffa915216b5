"""Bad data: a message that names the file, or correct behaviour; never a NaN."""

import json
import shutil

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from .paths import ROOT

CONFIG = ROOT / "configs" / "detection" / "ssd_hadaptive_s_digits.py"


@pytest.fixture
def data(digits, tmp_path):
    """A copy of the small demo set that a test may spoil."""
    shutil.copytree(digits, tmp_path / "digits")
    return tmp_path / "digits"


def load_config(data):
    cfg = Config.fromfile(CONFIG)
    cfg.train_dataloader.dataset.data_root = f"{data}/"
    cfg.train_dataloader.dataset.pipeline[-2].scale = (64, 64)
    init_default_scope("mmdet")
    return cfg


def edit(data, change):
    path = data / "annotations" / "train.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def losses(cfg, count=2):
    torch.manual_seed(0)
    np.random.seed(0)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    model = MODELS.build(cfg.model)
    batch = pseudo_collate([dataset[i] for i in range(count)])
    out = model(**model.data_preprocessor(batch, training=True), mode="loss")
    return torch.stack([value for values in out.values() for value in values])


def test_image_that_does_not_decode_is_named(data):
    name = sorted((data / "train").iterdir())[0]
    name.write_bytes(b"not an image")
    with pytest.raises(Exception, match=name.name):
        losses(load_config(data))


def test_boxes_outside_the_image(data):
    def move(content):
        for annotation in content["annotations"]:
            if annotation["image_id"] == 1:
                annotation["bbox"] = [40, 40, 100, 100]
            elif annotation["image_id"] == 2:
                annotation["bbox"] = [500, 500, 10, 10]

    edit(data, move)
    cfg = load_config(data)
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = False
    cfg.train_dataloader.dataset.pipeline = [
        step for step in cfg.train_dataloader.dataset.pipeline if "Crop" not in step["type"]
    ]
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    partly = dataset[0]["data_samples"].gt_instances.bboxes
    assert len(partly) > 0
    assert partly.tensor.max() <= 64
    assert len(dataset[1]["data_samples"].gt_instances) == 0
    assert losses(cfg).isfinite().all()


def test_empty_ground_truth(data):
    edit(data, lambda content: content.update(annotations=[]))
    cfg = load_config(data)
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = False
    assert losses(cfg).isfinite().all()
