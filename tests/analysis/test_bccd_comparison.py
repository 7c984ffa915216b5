"""The comparison on BCCD: its budget, its order, what it repeats and refuses, its table."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmhadaptive.analysis import bccd_comparison
from mmhadaptive.analysis.bccd_comparison import (
    DETECTORS,
    comparison_table,
    config_path,
    curves_by_detector,
    measure_detectors,
    train_detectors,
)
from mmhadaptive.io.user_errors import UserError


@pytest.fixture
def tools(monkeypatch):
    """What would be run, in place of running it: a training of two epochs, of which the second is
    validated with the AP 0.25, and a test that gives the AP 0.5 + seed / 100."""
    calls = []

    def run(tool, *arguments):
        words = list(map(str, arguments))
        calls.append((tool, *words))
        if tool == "train.py":
            folder = Path(words[words.index("--work-dir") + 1])
            folder.mkdir(parents=True)
            (folder / "last_checkpoint").write_text("/elsewhere/epoch_36.pth")
            log = folder / "20260101_000000" / "vis_data" / "scalars.json"
            log.parent.mkdir(parents=True)
            (log.parents[1] / "run.json").write_text("{}")
            log.write_text(
                '{"step": 1, "epoch": 1, "loss": 3.0}\n{"step": 2, "epoch": 2, "loss": 2.0}\n'
                '{"step": 2, "coco/bbox_mAP": 0.25}\n'
            )
        else:
            seed = next(int(w.partition("=")[2]) for w in words if w.startswith("randomness.seed"))
            record = dict(metrics={"coco/bbox_mAP": 0.5 + seed / 100})
            Path(words[words.index("--record") + 1]).write_text(json.dumps(record))

    monkeypatch.setattr(bccd_comparison, "run_tool", run)
    return calls


def test_one_budget():
    """The configs differ in the detector alone."""
    first, *others = (Config.fromfile(config_path(name)).to_dict() for name in DETECTORS)
    of_models = {"model", "channels", "norm_cfg", "relu6", "data_preprocessor", "num_classes"}
    for other in others:
        assert {key: value for key, value in other.items() if key not in of_models} == {
            key: value for key, value in first.items() if key not in of_models
        }
        assert other["model"]["bbox_head"]["num_classes"] == 3


def test_every_detector_with_every_seed(tools, tmp_path):
    lines = []
    entries = train_detectors(tmp_path, [0, 7], ["a=1"], lines.append)
    assert [(e["seed"], e["config"]) for e in entries] == [
        (s, d) for s in (0, 7) for d in DETECTORS
    ]
    found = [entry["metrics"]["coco/bbox_mAP"] for entry in entries]
    assert found == pytest.approx([0.5] * 5 + [0.57] * 5)
    assert all(entry["curve"] == [[1, 3.0, None], [2, 2.0, 0.25]] for entry in entries)
    assert len(lines) == 10
    train, test = tools[-2:]
    settings = ("--cfg-options", "randomness.seed=7", "a=1")
    assert train[0] == "train.py"
    assert "--resume" in train
    folder = tmp_path / "rtmdet_hadaptive_s_bccd_7"
    assert test[:3] == ("test.py", train[1], str(folder / "epoch_36.pth"))
    assert train[-3:] == test[-3:] == settings


def test_what_is_finished_is_not_repeated(tools, tmp_path):
    train_detectors(tmp_path, [0], [])
    tools.clear()
    entries = train_detectors(tmp_path, [0, 1], [])
    assert [call[0] for call in tools] == ["train.py", "test.py"] * 5
    assert len(entries) == 10
    assert all("randomness.seed=1" in call for call in tools)


def test_other_settings_need_another_folder(tools, tmp_path):
    train_detectors(tmp_path, [0], ["a=1"])
    with pytest.raises(UserError, match=r"settings \['a=1'\], not \['a=2'\]"):
        train_detectors(tmp_path, [0], ["a=2"])


def test_a_tool_that_fails_is_named(tmp_path):
    with pytest.raises(UserError, match=r"status \d of .*train\.py .*ssd_hadaptive_s_bccd\.py"):
        train_detectors(tmp_path, [0], ["not an option"])


def test_curves_are_those_of_all_seeds():
    config = "ssd_hadaptive_m_bccd"
    runs = [dict(config=config, seed=seed, curve=[[1, seed, None]]) for seed in (0, 1)]
    assert curves_by_detector(dict(runs=runs)) == {
        DETECTORS[config]: [[[1, 0, None]], [[1, 1, None]]]
    }


def test_the_table():
    detector = dict(config="ssd_hadaptive_s_bccd", parameters=1_234_567, macs=5.678e8, seconds=0.01)
    runs = [
        dict(config="ssd_hadaptive_s_bccd", seed=seed, metrics={"coco/bbox_mAP": value})
        for seed, value in enumerate((0.5, 0.52, 0.54))
    ]
    lines = comparison_table(dict(detectors=[detector], runs=runs)).splitlines()
    assert lines[0].startswith("| detector | AP | AP50 | mIoU |")
    assert lines[2] == "| SSD, Hadaptive-Net-S | 52.0 ± 2.0 | 0.0 ± 0.0 | - | 1.23 | 568 | 10.0 |"
    for metrics, cells in [
        ({"coco/bbox_mAP": 0.5, "coco/bbox_mIoU": 0.75}, ["50.0", "0.0", "75.0"]),
        # Nothing was found, and nothing matched.
        ({"coco/bbox_mIoU": -1.0}, ["0.0", "0.0", "-"]),
    ]:
        record = dict(detectors=[detector], runs=[dict(runs[0], metrics=metrics)])
        assert comparison_table(record).splitlines()[2].split(" | ")[1:4] == cells


def test_counts_and_times():
    entries = {entry["config"]: entry for entry in measure_detectors(rounds=1)}
    assert list(entries) == list(DETECTORS)
    ours, stock = (entries[f"rtmdet_hadaptive_s{neck}_bccd"] for neck in ("", "_cspnext"))
    for key in ("parameters", "macs"):
        assert 0 < ours[key] < stock[key]
    assert all(entry["seconds"] > 0 for entry in entries.values())
