"""The Grad-CAM sheet by its command, of classifiers and detectors."""

import copy
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import save_checkpoint

import mmhadaptive.models  # noqa: F401  the names of the configs
from mmhadaptive.engine.picture_input import picture_input
from mmhadaptive.io.user_errors import UserError

from ..paths import CONFIGS

pytest.importorskip("pytorch_grad_cam")
DETECTOR = CONFIGS / "detection" / "ssd_hadaptive_s_digits.py"
CLASSIFIER = CONFIGS / "classification" / "cifar100" / "hadaptive_s_cifar100_10pct_32px.py"
TWIN = CONFIGS / "classification" / "ablations" / "hadaptive_s_cifar100_ghost.py"


def hardly_trained(path, folder):
    """A config, its model of random weights, and its checkpoint."""
    cfg = Config.fromfile(path)
    torch.manual_seed(0)
    model = copy.deepcopy(cfg.model)
    model.setdefault("data_preprocessor", cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(model).train()
    # A step for the statistics of the batch normalisations.
    model.backbone(torch.rand(2, 3, 64, 64))
    model.eval()
    checkpoint = folder / f"{path.stem}.pth"
    save_checkpoint(dict(state_dict=model.state_dict()), str(checkpoint))
    return cfg, model, checkpoint


@pytest.fixture
def picture(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "picture.png"), image)
    return tmp_path / "picture.png"


def test_two_classifiers_on_one_sheet(tmp_path, picture, run_here, capsys):
    networks = []
    for path in (CLASSIFIER, TWIN):
        networks += [path, hardly_trained(path, tmp_path)[2]]
    out = tmp_path / "cam.png"
    record = tmp_path / "cam.json"
    options = ["--out", out, "--target", 7, "--dpi", 30, "--record", record]
    run_here("visualize_cam.py", picture, *networks, *options)
    rows = load(record)["rows"]
    assert [row["network"].split()[0] for row in rows] == [CLASSIFIER.stem, TWIN.stem]
    assert rows[0]["target"] == rows[1]["target"]
    assert rows[0]["layers"][0] == "backbone.stages.0.0"
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("hadaptive_s_cifar100_10pct_32px ")
    assert lines[-2].startswith("hadaptive_s_cifar100_ghost ")
    assert [line.split(": ")[1].split(",")[0] for line in lines[-3:-1]] == ["7", "7"]
    sheet = cv2.imread(str(out))
    # Fourteen layers and the picture; two rows.
    assert sheet.shape[1] > 12 * 30
    assert sheet.std() > 10


def test_a_detector(tmp_path, picture, run_here, capsys):
    checkpoint = hardly_trained(DETECTOR, tmp_path)[2]
    command = ["visualize_cam.py", picture, DETECTOR, checkpoint, "--out", tmp_path / "cam.png"]
    some = ["--layers", "backbone.stages.1", "backbone.stages.4", "--dpi", 30]
    run_here(*command, *some, "--box", 2, "--cfg-options", "model.test_cfg.score_thr=0")
    assert capsys.readouterr().out.splitlines()[-2].startswith("ssd_hadaptive_s_digits ")
    first = (tmp_path / "cam.png").read_bytes()
    assert cv2.imread(str(tmp_path / "cam.png")).std() > 10
    with pytest.raises(Exception, match=r"no box with the number 1: .* finds 0"):
        run_here(*command, "--cfg-options", "model.test_cfg.score_thr=2")
    with pytest.raises(Exception, match="backbone has stages"):
        run_here(*command, "--layers", "backbone.stage")
    # What failed has not touched the sheet.
    assert (tmp_path / "cam.png").read_bytes() == first


def test_what_is_refused(tmp_path, picture, run_here, capsys):
    checkpoint = hardly_trained(CLASSIFIER, tmp_path)[2]
    command = [CLASSIFIER, checkpoint, "--out", tmp_path / "cam.png"]
    with pytest.raises(Exception, match="--box is for detectors"):
        run_here("visualize_cam.py", picture, *command, "--box", 1)
    with pytest.raises(Exception, match=r"no picture at nothing\.png"):
        run_here("visualize_cam.py", "nothing.png", *command)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(Exception, match=r"text\.png"):
        run_here("visualize_cam.py", tmp_path / "text.png", *command)
    with pytest.raises(Exception, match="no class zebra"):
        run_here("visualize_cam.py", picture, *command, "--target", "zebra")
    with pytest.raises(SystemExit):
        run_here("visualize_cam.py", picture, CLASSIFIER)
    assert "give a CHECKPOINT for every CONFIG" in capsys.readouterr().err
    assert not (tmp_path / "cam.png").exists()


@pytest.mark.parametrize("path", [DETECTOR, CLASSIFIER], ids=lambda path: path.parent.name)
def test_the_input_is_that_of_the_test(tmp_path, picture, path):
    """The picture beside the maps is what the network sees, in RGB."""
    cfg, model, _ = hardly_trained(path, tmp_path)
    inputs, samples, seen = picture_input(cfg, model, picture)
    assert inputs.shape[:2] == (1, 3)
    assert len(samples) == 1
    assert seen.dtype == np.uint8
    height, width = seen.shape[:2]
    expected = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    expected = cv2.resize(expected, (width, height), interpolation=cv2.INTER_LINEAR)
    assert np.abs(seen.astype(int) - expected).max() <= 1


def test_without_the_library(monkeypatch, tmp_path, picture, run_here):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    checkpoint = hardly_trained(CLASSIFIER, tmp_path)[2]
    out = tmp_path / "cam.png"
    with pytest.raises(UserError, match=r"Grad-CAM needs grad-cam.* pip install .grad-cam"):
        run_here("visualize_cam.py", picture, CLASSIFIER, checkpoint, "--out", out)
    assert not out.exists()
