"""The same training and test scripts serve mmpretrain's configs."""

import json

import cv2
import numpy as np
import pytest

CONFIG = """
default_scope = "mmpretrain"
custom_imports = dict(imports=["mmhadaptive.models.backbones", "mmhadaptive.engine"])
model = dict(
    type="ImageClassifier",
    backbone=dict(type="HadaptiveNet", arch="s"),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="StackedLinearClsHead",
        num_classes=2,
        in_channels=960,
        mid_channels=[16],
        act_cfg=dict(type="HSwish"),
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
)
data_preprocessor = dict(num_classes=2, mean=[127.0] * 3, std=[64.0] * 3, to_rgb=True)
dataset = dict(
    type="CustomDataset",
    data_root={root!r},
    pipeline=[dict(type="LoadImageFromFile"), dict(type="PackInputs")],
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dataset,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dataset,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=1)
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01))
train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
val_cfg = dict()
test_cfg = dict()
custom_hooks = [dict(type="AdaptTemperatureHook"), dict(type="EpochSeedHook")]
default_hooks = dict(logger=dict(type="LoggerHook", interval=1))
"""


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 50)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(6):
            image = np.clip(rng.normal(level, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "images" / name / f"{i}.png"), image)
    path = tmp_path / "classifier.py"
    path.write_text(CONFIG.format(root=str(tmp_path / "images")))
    return path


def test_classifier_trains_and_is_tested(config, run_tool, tmp_path):
    work_dir = tmp_path / "work"
    run_tool("train.py", config, "--work-dir", work_dir)
    (scalars,) = work_dir.glob("*/vis_data/scalars.json")
    entries = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert sum("tau" in entry for entry in entries) == 3
    record = tmp_path / "record.json"
    checkpoint = work_dir / "epoch_1.pth"
    run_tool("test.py", config, checkpoint, "--work-dir", work_dir, "--record", record)
    assert 0 <= json.loads(record.read_text())["metrics"]["accuracy/top1"] <= 100
