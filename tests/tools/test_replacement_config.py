"""A config of configs/replacement through the training and the test script."""

import json

import numpy as np
import torch

from ..paths import ROOT


def test_trains_and_is_tested(tmp_path, run_here):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        images = rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{split}.npz", images=images, labels=np.arange(16) % 4)
    config = tmp_path / "tiny.py"
    config.write_text(
        f"""
_base_ = {str(ROOT / "configs" / "replacement" / "mobilenetv3_small_ach_9_10_cifar100.py")!r}
data_root = {str(tmp_path)!r}
data_preprocessor = dict(size=48)
test_pipeline = _base_.test_pipeline
test_pipeline[0].scale = 48
train_dataloader = dict(batch_size=8, dataset=dict(dataset=dict(data_root=data_root)))
val_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root)))
test_dataloader = dict(
    batch_size=8, num_workers=0, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
"""
    )
    work_dir = tmp_path / "work"
    run_here("train.py", config, "--work-dir", work_dir)
    state = torch.load(work_dir / "epoch_1.pth", weights_only=False)["state_dict"]
    # The hook has seen the gradients of the new blocks.
    assert state["backbone.layer11.expand.temperature.last_norm"] > 0
    record = tmp_path / "record.json"
    checkpoint = work_dir / "epoch_1.pth"
    run_here("test.py", config, checkpoint, "--work-dir", work_dir, "--record", record)
    assert 0 <= json.loads(record.read_text())["metrics"]["accuracy/top1"] <= 100
