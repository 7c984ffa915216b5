"""Configs of configs/replacement through the training and the test script."""

import json

import numpy as np
import pytest
import torch

from mmhadaptive.io.checkpoint import load_checkpoint_file

from ..paths import CONFIGS


@pytest.fixture
def tiny(tmp_path):
    """A config of ``configs/replacement``, by its path there, for two steps on 16 images."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        images = rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{split}.npz", images=images, labels=np.arange(16) % 4)

    def write(name, more=""):
        path = tmp_path / "tiny.py"
        path.write_text(
            f"""
_base_ = {str(CONFIGS / "replacement" / name)!r}
data_root = {str(tmp_path)!r}
train_dataloader = dict(
    batch_size=8, dataset=dict(dataset=dict(data_root=data_root, fraction=1.0))
)
val_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root)))
test_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(data_root=data_root))
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
{more}
"""
        )
        return path

    return write


def test_trains_and_is_tested(tiny, tmp_path, run_here):
    config = tiny(
        "mobilenetv3_small_ach_9_10_cifar100.py",
        """
data_preprocessor = dict(size=48)
test_pipeline = _base_.test_pipeline
test_pipeline[0].scale = 48
test_dataloader.update(dataset=dict(data_root=data_root, pipeline=test_pipeline))
""",
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


@pytest.mark.parametrize("variant", ["original", "replaced"])
def test_a_short_training_resumes(tiny, tmp_path, run_here, variant):
    folder = "cifar100_10pct_32px"
    config = tiny(f"{folder}/shufflenetv2_1x_ach_{folder}.py")
    work_dir = tmp_path / "work"
    command = ["train.py", config, "--work-dir", work_dir, "--resume", "--cfg-options"]
    command += ["model.stem_stride=1", *(["model.replace=[]"] if variant == "original" else [])]
    # The hook's clock is asked after the first step and says that time is up.
    stop = [f"default_hooks.timed_checkpoint.{key}" for key in ("stop_seconds=0", "interval=1")]
    # Two runs within a second would have one name.
    run_here(*command, f"experiment_name={variant}_half", *stop)
    half = load_checkpoint_file(work_dir / "latest.pth")
    assert half["meta"]["iter"] == 1
    run_here(*command, f"experiment_name={variant}_whole")
    whole = load_checkpoint_file(work_dir / "epoch_1.pth")
    assert whole["meta"]["iter"] == 2
    assert half["state_dict"].keys() == whole["state_dict"].keys()
    new = [key for key in whole["state_dict"] if "temperature" in key]
    assert bool(new) == (variant == "replaced")
