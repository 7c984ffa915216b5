"""A CIFAR-100 config through the tools, on a few images made here."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain import ImageClassificationInferencer

from mmhadaptive.io.checkpoint import load_checkpoint_file

from ..apart import python_apart, run_tool_on_ranks
from ..conftest import run
from ..paths import ROOT

SPLITS = ("train", "val")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_tool):
    """A config of 48 pixels for 32 images of 4 classes, and its work dir after two epochs."""
    folder = tmp_path_factory.mktemp("cifar100")
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (4, 3))
    for split in ("train", "test"):
        labels = np.arange(32) % 4
        noise = rng.normal(0, 20, (32, 32, 32, 3))
        images = np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8)
        np.savez(folder / f"{split}.npz", images=images, labels=labels)
    config = folder / "tiny.py"
    config.write_text(
        f"""
_base_ = {str(ROOT / "configs" / "classification" / "cifar100" / "hadaptive_s_cifar100.py")!r}
data_root = {str(folder)!r}
data_preprocessor = dict(size=48)
test_pipeline = _base_.test_pipeline
test_pipeline[0].scale = 48
train_dataloader = dict(batch_size=8, dataset=dict(dataset=dict(data_root=data_root)))
val_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root)))
test_dataloader = dict(
    batch_size=8, num_workers=0, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
train_cfg = dict(max_epochs=2)
"""
    )
    work_dir = folder / "work"
    run_tool("train.py", config, "--work-dir", work_dir)
    return config, work_dir / "epoch_2.pth", folder


@pytest.fixture(scope="module")
def scores(trained):
    """Softmax scores of the test images by a plain loop: resize, normalise, forward."""
    config, checkpoint, folder = trained
    config = Config.fromfile(config)
    model = MODELS.build(dict(config.model, _scope_="mmpretrain")).eval()
    state = torch.load(checkpoint, weights_only=False)["state_dict"]
    model.load_state_dict(state)
    images = np.load(folder / "test.npz")["images"]
    mean = np.array(config.data_preprocessor.mean, dtype=np.float32)
    std = np.array(config.data_preprocessor.std, dtype=np.float32)
    rows = []
    for image in images:
        pixels = cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC)
        pixels = torch.from_numpy((pixels.astype(np.float32) - mean) / std).permute(2, 0, 1)
        with torch.no_grad():
            rows.append(model.head(model.extract_feat(pixels[None])).softmax(1)[0])
    return torch.stack(rows).numpy()


@pytest.fixture(scope="module")
def tested(trained, run_tool):
    """Folder of a record and of pictures of the test."""
    config, checkpoint, folder = trained
    out = folder / "test"
    run_tool(
        *("test.py", config, checkpoint, "--work-dir", out),
        *("--record", out / "record.json", "--show-dir", out / "pictures"),
    )
    return out


def test_pictures_of_the_test(trained, tested):
    image = np.load(trained[2] / "test.npz")["images"][0]
    expected = cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC)
    drawn = cv2.cvtColor(cv2.imread(str(tested / "pictures" / "0_0.png")), cv2.COLOR_BGR2RGB)
    # The labels stand at the top.
    np.testing.assert_allclose(drawn[32:].astype(int), expected[32:].astype(int), atol=2)
    matrix = cv2.imread(str(tested / "pictures" / "confusion_matrix.png"))
    assert min(matrix.shape[:2]) > 1000


def test_top1_equals_an_independent_computation(trained, scores, tested):
    folder = trained[2]
    metrics = json.loads((tested / "record.json").read_text())["metrics"]
    labels = np.load(folder / "test.npz")["labels"]
    predicted = scores.argmax(1)
    assert metrics["accuracy/top1"] == pytest.approx(100 * (predicted == labels).mean(), abs=1e-4)
    matrix = np.array(metrics["confusion_matrix/result"])
    assert matrix.shape == (100, 100)
    assert matrix.sum() == 32
    assert np.trace(matrix) == (predicted == labels).sum()
    recall = metrics["single-label/recall_classwise"]
    for label in range(4):
        expected = 100 * (predicted[labels == label] == label).mean()
        assert recall[label] == pytest.approx(expected, abs=1e-3)


def test_the_inferencer_gives_an_image_file_the_same_scores(trained, scores, tmp_path):
    config, checkpoint, folder = trained
    image = np.load(folder / "test.npz")["images"][5]
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    # Other tests leave mmdet's scope behind.
    init_default_scope("mmpretrain")
    inferencer = ImageClassificationInferencer(str(config), str(checkpoint), device="cpu")
    (result,) = inferencer(str(path))
    np.testing.assert_allclose(result["pred_scores"], scores[5], atol=1e-4)
    assert result["pred_label"] == scores[5].argmax()


def test_the_training_script_continues_and_its_weights_give_the_accuracy(
    trained, run_tool, tmp_path
):
    _, _, folder = trained
    data = [f"{split}_dataloader.dataset.dataset.data_root={folder}" for split in SPLITS]
    command = (ROOT / "tools" / "paper" / "train_cifar100.sh", 3600, tmp_path, *data)
    command += ("data_preprocessor.size=48", "train_dataloader.batch_size=8")
    command += ("default_hooks.logger.interval=1", "train_cfg.max_epochs=2")
    # The clock is asked at the end of the first of two epochs.
    command += ("default_hooks.timed_checkpoint.interval=4",)
    command += ("default_hooks.visualization.enable=True",)
    work = tmp_path / "work_dirs" / "hadaptive_s"
    with python_apart(tmp_path) as python:
        settings = dict(NETWORKS="hadaptive_s", PYTHON=str(python))
        run((*command, "default_hooks.timed_checkpoint.stop_seconds=0"), **settings)
        assert (work / "last_checkpoint").read_text().endswith("epoch_1.pth")
        assert not (work / "trained").exists()
        out = run(command, **settings).stdout
    assert "resumed epoch: 1, iter: 4" in out
    assert (work / "trained").exists()
    assert "all networks are trained" in out
    assert "BFloat16OptimWrapper" in (work / "hadaptive_s_cifar100.py").read_text()
    (picture,) = work.glob("*/vis_data/vis_image/0_2.png")
    drawn = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    # The labels stand at the top.
    np.testing.assert_array_equal(drawn[24:], np.load(folder / "test.npz")["images"][0][24:])
    weights = tmp_path / "hadaptive_s_cifar100.pth"
    record = tmp_path / "test.json"
    run_tool("test.py", trained[0], weights, "--work-dir", tmp_path, "--record", record)
    measured = json.loads(record.read_text())["metrics"]["accuracy/top1"]
    logged = json.loads((tmp_path / "hadaptive_s_cifar100.json").read_text())
    assert logged["best_top1"] == pytest.approx(measured, abs=1e-2)
    assert len(logged["pieces"]) == 2


@pytest.fixture
def rehearse(tmp_path):
    """Run the training script with stand-ins for the tools; returns the finished process.

    Every call of the stand-in for train.py trains an epoch of two.
    """
    python = tmp_path / "python"
    python.write_text(
        r"""#!/usr/bin/env bash
case $1 in
  -c) echo epochs 2 ;;
  tools/train.py)
    work=$5
    mkdir -p "$work"
    touch "$work/latest.pth"
    if [ -e "$work/epoch_1.pth" ]; then touch "$work/epoch_2.pth"; fi
    touch "$work/epoch_1.pth" ;;
  tools/analysis/record_training.py) [ -z "$NO_RECORD" ] ;;
esac
"""
    )
    python.chmod(0o755)

    def call(**environment):
        command = (ROOT / "tools" / "paper" / "train_cifar100.sh", 3600, tmp_path)
        return run(command, check=False, PYTHON=str(python), **environment)

    return call


def test_the_training_script_marks_no_network_whose_record_failed(rehearse, tmp_path):
    settings = dict(NETWORKS="hadaptive_s")
    work = tmp_path / "work_dirs" / "hadaptive_s"
    # In the middle of the training there need be no record.
    assert rehearse(NO_RECORD="1", **settings).returncode == 0
    failed = rehearse(NO_RECORD="1", **settings)
    assert failed.returncode != 0
    assert failed.stderr.endswith(": hadaptive_s\n")
    assert "all networks are trained" not in failed.stdout
    assert not (work / "trained").exists()
    assert (work / "latest.pth").exists()
    done = rehearse(NO_RECORD="", **settings)
    assert done.returncode == 0
    assert "all networks are trained" in done.stdout
    assert (work / "trained").exists()
    assert not (work / "latest.pth").exists()


def test_the_training_script_says_that_a_network_is_not_trained_yet(rehearse):
    settings = dict(NETWORKS="hadaptive_s", NO_RECORD="")
    assert "hadaptive_s and what follows it are not trained yet" in rehearse(**settings).stdout
    assert "all networks are trained" in rehearse(**settings).stdout


def test_two_processes_in_pieces_equal_an_uninterrupted_run(trained, tmp_path):
    config = ROOT / "configs" / "classification" / "cifar100" / "hadaptive_s_cifar100_10pct_32px.py"
    settings = [f"{split}_dataloader.dataset.dataset.data_root={trained[2]}" for split in SPLITS]
    settings += ["train_dataloader.dataset.dataset.fraction=1.0", "train_dataloader.batch_size=4"]
    settings += ["train_cfg.max_epochs=2"]

    def train(name, *more):
        options = ("--work-dir", tmp_path / name, "--resume", "--cfg-options", *settings, *more)
        run_tool_on_ranks("tools/train.py", config, *options)

    # Two processes take four steps an epoch.
    stop = [f"default_hooks.timed_checkpoint.{key}" for key in ("stop_seconds=0", "interval=6")]
    train("whole")
    train("pieces", *stop)
    assert load_checkpoint_file(tmp_path / "pieces" / "latest.pth")["meta"]["iter"] == 6
    train("pieces")
    whole, pieces = (
        load_checkpoint_file(tmp_path / name / "epoch_2.pth")["state_dict"]
        for name in ("whole", "pieces")
    )
    for key, value in whole.items():
        assert torch.equal(value, pieces[key]), key
