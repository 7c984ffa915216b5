"""tools/export.py, and tools/infer.py with what it wrote."""

import json

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmhadaptive.io.user_errors import UserError

from ..deploy.conftest import ARCH, scatter

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def config(digits_config):
    path = digits_config.parent / "tiny.py"
    path.write_text(
        f"""
_base_ = {str(digits_config)!r}
model = dict(
    backbone=dict(arch={ARCH!r}),
    neck=dict(in_channels=[16, 16, 24], out_channels=8),
    bbox_head=dict(in_channels=(8, 8, 8)),
    test_cfg=dict(score_thr=0.05, max_per_img=20),
)
"""
    )
    return path


@pytest.fixture(scope="module")
def checkpoint(config):
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model)
    fresh, path = config.parent / "fresh.pth", config.parent / "tiny.pth"
    torch.save(dict(state_dict=model.state_dict()), fresh)
    meta = dict(dataset_meta=cfg.metainfo.to_dict())
    torch.save(dict(state_dict=scatter(model).state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope="module")
def exported(config, checkpoint, run_tool):
    """By a process of its own, with what it printed and its report."""
    folder = config.parent
    path, report = folder / "tiny.onnx", folder / "report.json"
    options = ("--batch", "dynamic", "--report", report)
    result = run_tool("export.py", config, checkpoint, path, *options)
    assert not result.stderr, result.stderr
    return path, result.stdout, json.loads(report.read_text())


def test_the_report(exported):
    path, printed, report = exported
    assert path.exists()
    assert report["model"]["task"] == "detector"
    assert report["model"]["classes"] == list("0123456789")
    assert report["model"]["size"] == [96, 96]
    assert report["compared"].keys() == {"1", "4"}
    for compared in report["compared"].values():
        assert compared["detections"]["expected"] > 20
        assert compared["detections"]["unpaired"] == 0
        assert compared["boxes"]["error"] < 1e-2
        assert f"boxes: {compared['boxes']['error']:.1e}" in printed


def test_detects_what_the_checkpoint_does(exported, config, checkpoint, digits, run_here, tmp_path):
    found = []
    for model in ([exported[0]], [config, checkpoint, "--device", "cpu"]):
        out = tmp_path / str(len(found))
        annotations = digits / "annotations" / "val.json"
        options = ("--out-dir", out, "--ann-file", annotations, "--score-thr", 0.1)
        run_here("infer.py", digits / "val", *model, *options)
        assert len(list((out / "vis").iterdir())) == 8
        found.append(json.loads((out / "predictions.json").read_text()))
    one, other = found
    assert one["images"] == other["images"]
    assert one["categories"] == other["categories"]
    assert len(one["annotations"]) == len(other["annotations"]) > 20
    for a, b in zip(one["annotations"], other["annotations"], strict=True):
        assert a["category_id"] == b["category_id"]
        assert a["score"] == pytest.approx(b["score"], abs=1e-5)
        assert a["bbox"] == pytest.approx(b["bbox"], abs=1e-2)


def test_a_program_of_torch(config, checkpoint, run_here, tmp_path, capsys):
    path = tmp_path / "tiny.pt2"
    run_here("export.py", config, checkpoint, path, "--backbone", "--batch", 2)
    maps = torch.export.load(path).module()(torch.zeros(2, 3, 96, 96))
    assert [tuple(t.shape) for t in maps] == [(2, 16, 12, 12), (2, 16, 6, 6), (2, 24, 3, 3)]
    assert "map_2" in capsys.readouterr().out


def test_an_untrained_or_damaged_checkpoint(config, checkpoint, run_here, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(UserError, match=r"fresh\.pth holds weights that nothing has trained"):
        run_here("export.py", config, config.parent / "fresh.pth", path)
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(Exception, match=r"damaged\.pth"):
        run_here("export.py", config, damaged, path)
    other = tmp_path / "other.pth"
    torch.save(dict(state_dict={"weight": torch.zeros(1)}), other)
    with pytest.raises(ValueError, match=r"other\.pth is a checkpoint of another network"):
        run_here("export.py", config, other, path)
    with pytest.raises(UserError, match="opset 12 is too old"):
        run_here("export.py", config, checkpoint, path, "--opset", 12)
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config.py", "model.pth", "model.tflite"], "OUT must end in .onnx or .pt2"),
        (["config.py", "model.pth", "model.onnx", "--compiled"], "--compiled is for .pt2"),
        (["config.py", "model.pth", "model.pt2", "--opset", "20"], "--opset is for .onnx"),
        (["config.py", "model.pth", "model.onnx", "--batch", "0"], "--batch must be at least 1"),
    ],
)
def test_wrong_arguments(run_here, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run_here("export.py", *arguments)
    assert message in capsys.readouterr().err


def test_inference_needs_one_of_both(run_here, capsys):
    for arguments in (["config.py"], ["model.onnx", "model.pth"]):
        with pytest.raises(SystemExit):
            run_here("infer.py", "pictures", *arguments)
        assert "give CONFIG CHECKPOINT, or MODEL.onnx alone" in capsys.readouterr().err
