"""The weights that come with the package: what they are said to be, and found by name."""

import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.fileio import load

import mmhadaptive.engine  # noqa: F401  the names of the configs
from mmhadaptive.io.model_index import models, weights_path

from .paths import DOCS, ROOT

WITH_WEIGHTS = [model for _, model in models() if model["Weights"]]


def test_every_file_belongs_to_a_model():
    named = {Path(weights_path(model)).resolve() for model in WITH_WEIGHTS}
    assert named == set((ROOT / "checkpoints").glob("*.pth"))


@pytest.mark.parametrize("model", WITH_WEIGHTS, ids=lambda model: model["Name"])
def test_a_file(model):
    content = Path(weights_path(model)).read_bytes()
    name, _, digits = Path(model["Weights"]).stem.rpartition("-")
    assert name == model["Name"]
    assert digits == hashlib.sha256(content).hexdigest()[:8]
    assert len(content) < 5e6
    checkpoint = torch.load(weights_path(model), weights_only=True)
    assert set(checkpoint) == {"meta", "state_dict"}
    kinds = {value.dtype for value in checkpoint["state_dict"].values()}
    assert kinds == {torch.float16, torch.int64}
    assert not any(folder in checkpoint["meta"]["cfg"] for folder in ("/work", "/tmp", "/home"))
    for kind in ("Training", "Test"):
        record = load(DOCS / "results" / model["Metadata"][f"{kind} Record"])
        assert record["commit"]
    command = record["command"]
    assert Path(model["Weights"]).name in command


def test_a_detector_by_its_name_has_its_weights():
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer("ssd_hadaptive_s_bccd", device="cpu")
    (entry,) = [model for model in WITH_WEIGHTS if model["Name"] == "ssd_hadaptive_s_bccd"]
    state = torch.load(weights_path(entry), weights_only=True)["state_dict"]
    for name, value in inferencer.model.state_dict().items():
        assert torch.equal(value, state[name].to(value.dtype)), name
    assert inferencer.model.dataset_meta["classes"] == ("RBC", "WBC", "Platelets")


def test_a_classifier_by_its_name_has_its_weights():
    import mmpretrain

    import mmhadaptive.mmpretrain  # noqa: F401

    model = mmpretrain.get_model("hadaptive_s_cifar100_64px", pretrained=True)
    (entry,) = [each for each in WITH_WEIGHTS if each["Name"] == "hadaptive_s_cifar100_64px"]
    state = torch.load(weights_path(entry), weights_only=True)["state_dict"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name].to(value.dtype)), name
