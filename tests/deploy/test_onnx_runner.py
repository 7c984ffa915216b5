"""The runner: without torch, and equal to OpenMMLab's inferencers."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmhadaptive.deploy import OnnxRunner, describe, export_onnx
from mmhadaptive.io.user_errors import UserError, UserValueError

from ..paths import ROOT
from .conftest import CLASSIFIER

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeEdge", scale=40, edge="short"),
    dict(type="CenterCrop", crop_size=33),
    dict(type="PackInputs"),
]


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    """A classifier with a batch of two."""
    path = tmp_path_factory.mktemp("classifier") / "model.onnx"
    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=PIPELINE))))
    classifier.dataset_meta = dict(classes=list("abcdefg"))
    about = describe(cfg, classifier)
    export_onnx(classifier, path, about["size"], batch=2, metadata=about)
    return path


@pytest.fixture(scope="module")
def picture_files(digits):
    return [digits / "val" / f"0000{number}.png" for number in (1, 2, 3)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_equals_the_inferencer_of_mmpretrain(exported, classifier, picture_files):
    from mmpretrain.apis import ImageClassificationInferencer

    classifier._config = Config(
        dict(
            default_scope="mmpretrain",
            model=CLASSIFIER,
            test_dataloader=dict(dataset=dict(pipeline=PIPELINE)),
        )
    )
    # Whatever scope another test has left.
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        inferencer = ImageClassificationInferencer(
            classifier, classes=list("abcdefg"), device="cpu"
        )
        expected = inferencer(list(map(str, picture_files)))
    found = OnnxRunner(exported)(picture_files)
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose(one["pred_scores"], other["pred_scores"], atol=1e-6)
        assert one["pred_label"] == other["pred_label"]
        assert one["pred_class"] == other["pred_class"]
        assert one["pred_score"] == pytest.approx(other["pred_score"], abs=1e-6)


def test_runs_where_torch_is_not(exported, picture_files):
    program = f"""
import sys
for name in ("torch", "mmengine", "mmcv", "mmdet", "mmpretrain", "onnx", "onnxscript"):
    sys.modules[name] = None
from mmhadaptive.deploy import OnnxRunner
print(OnnxRunner({str(exported)!r})({str(picture_files[0])!r})[0]["pred_class"])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == OnnxRunner(exported)(picture_files[0])[0]["pred_class"]


def test_arrays_are_pictures_too(exported, picture_files):
    runner = OnnxRunner(exported)
    (one,) = runner(cv2.imread(str(picture_files[0])))
    (other,) = runner([picture_files[0]])
    np.testing.assert_array_equal(one["pred_scores"], other["pred_scores"])
    assert runner([]) == []


def test_files_that_are_no_models(exported, tmp_path, picture_files):
    path = tmp_path / "model.onnx"
    with pytest.raises(FileNotFoundError, match="no model at"):
        OnnxRunner(path)
    whole = exported.read_bytes()
    for content in (b"", b"no model", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"model\.onnx (is no model|was not exported)"):
            OnnxRunner(path)
    foreign = onnx.load(exported)
    del foreign.metadata_props[:]
    onnx.save(foreign, path)
    with pytest.raises(UserError, match="was not exported by mmhadaptive"):
        OnnxRunner(path)
    entry = foreign.metadata_props.add()
    entry.key, entry.value = "task", "[not JSON"
    onnx.save(foreign, path)
    with pytest.raises(UserError, match="was not exported by mmhadaptive"):
        OnnxRunner(path)
    path.write_bytes(b"no picture")
    with pytest.raises(UserValueError, match="does not decode"):
        OnnxRunner(exported)([picture_files[0], path])


def test_outputs_that_are_no_predictions(ssd, exported, tmp_path):
    path = tmp_path / "model.onnx"
    model = onnx.load(exported)
    model.graph.output[0].name = "map_0"
    for node in model.graph.node:
        node.output[:] = ["map_0" if name == "logits" else name for name in node.output]
    onnx.save(model, path)
    with pytest.raises(UserError, match="with the outputs map_0: the runner needs"):
        OnnxRunner(path)
