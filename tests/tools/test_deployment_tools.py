"""From a checkpoint of the demo's detector to a frozen one, and from that to 8 bits."""

import json
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmhadaptive.engine import check_state_dict
from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.io.user_errors import UserError

pytest.importorskip("mmcv._ext", reason="mmcv has no operators")


def test_freeze_and_quantize(digits_config, tmp_path, run_here, capsys, monkeypatch):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(digits_config)
    with DefaultScope.overwrite_default_scope("mmdet"):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), "random.pth")
    out, record = tmp_path / "frozen.pth", tmp_path / "frozen.json"
    run_here(
        *("freeze_selection.py", digits_config, "random.pth", out),
        *("--pictures", 6, "--record", record, "--no-test"),
    )
    frozen = Config.fromfile(out.with_suffix(".py"))
    assert frozen.load_from == str(out)
    with DefaultScope.overwrite_default_scope("mmdet"):
        built = MODELS.build(frozen.model)
    state = load_checkpoint_file(out)["state_dict"]
    check_state_dict(built, state, "frozen.pth", partial=False)
    assert not any("scores" in name for name in state)
    report = json.loads(record.read_text())
    assert report["pictures"] == 6
    assert 0 < report["by_rank"] <= report["by_set"] <= 1
    assert len(report["layers"]) == 6
    assert "all layers" in capsys.readouterr().out

    with pytest.raises(UserError, match="has fixed its selection already"):
        run_here("freeze_selection.py", out.with_suffix(".py"), out, "again.pth", "--no-test")
    assert not (tmp_path / "again.pth").exists()

    file, record = tmp_path / "int8.onnx", tmp_path / "int8.json"
    run_here(
        *("quantize.py", out.with_suffix(".py"), out, file),
        *("--pictures", 6, "--runs", 1, "--record", record),
    )
    model = onnx.load(file)
    operators = {node.op_type for node in model.graph.node}
    assert "QuantizeLinear" in operators
    assert "ReduceMean" not in operators
    assert "classes" in {entry.key for entry in model.metadata_props}
    report = json.loads(record.read_text())
    assert report["before"].keys() == report["after"].keys() >= {"coco/bbox_mAP"}
    assert report["bytes"]["int8"] < report["bytes"]["float32"]
    assert report["latency"]["int8"]["median"] > 0


@pytest.mark.parametrize("tool", ["freeze_selection.py", "quantize.py"])
def test_wrong_arguments_are_named(tool, run_here, capsys):
    for words in (
        ("config.py", "c.pth", "out.txt"),
        ("config.py", "c.pth", "o.pth", "--pictures", 0),
    ):
        with pytest.raises(SystemExit):
            run_here(tool, *words)
        assert "must" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--pictures", 0), ("--percentile", 0), ("--percentile", 101)])
def test_quantize_refuses_a_number_that_cannot_be(option, run_here, capsys):
    with pytest.raises(SystemExit):
        run_here("quantize.py", "config.py", "c.pth", "o.onnx", *option)
    name, value = option
    assert re.search(rf"{name} must be .* got {value}", capsys.readouterr().err)
