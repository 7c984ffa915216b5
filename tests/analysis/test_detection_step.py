"""The tool that times the crop and the losses writes its record and table."""

import json

import numpy as np

from mmhadaptive.analysis.detection_step import objects, step_table


def test_objects_lie_on_the_picture():
    counts = set()
    for seed in range(100):
        boxes, labels = objects(np.random.default_rng(seed), 48, 64, 3)
        assert boxes.dtype == np.float32
        assert (boxes >= 0).all()
        assert (boxes <= (64, 48, 64, 48)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert set(labels) <= {0, 1, 2}
        counts.add(len(boxes))
    assert counts == set(range(1, 15))


def test_the_table_has_the_ratio():
    rows = [dict(part="crop", mmdet=0.012, ours=0.00048), dict(part="loss", mmdet=2.5, ours=0.2)]
    lines = step_table(rows).splitlines()
    assert lines[-2] == "| crop of a picture | 12 | 0.48 | 25.0 |"
    assert lines[-1].endswith("| 2,500 | 200 | 12.5 |")


def test_the_tool_writes_a_row_a_part(run_here, tmp_path, capsys):
    out = tmp_path / "step.json"
    options = ("--batch-size", 2, "--size", 64, "--pictures", 3, "--rounds", 1, "--threads", 1)
    run_here("analysis/benchmark_detection.py", *options, "--out", out)
    record = json.loads(out.read_text())
    assert [row["part"] for row in record["seconds"]] == ["crop", "loss"]
    assert all(row[name] > 0 for row in record["seconds"] for name in ("mmdet", "ours"))
    assert (record["batch_size"], record["size"], record["pictures"]) == (2, 64, 3)
    assert capsys.readouterr().out.splitlines()[-1].startswith("| targets, losses")
