"""The commands of docs/detection.md that mmdet's own scripts are for run on our results."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config

from mmhadaptive.engine.launch import build_runner

from ..conftest import run
from ..paths import DOCS, ROOT

TOOLS = Path(mmdet.__file__).parent / ".mim" / "tools" / "analysis_tools"
SECTION = (DOCS / "detection.md").read_text().split("### mmdet's own scripts")[1].split("\n## ")[0]
COMMANDS = {
    words[1].rpartition("/")[2]: words[2:]
    for words in map(shlex.split, re.findall(r"^python \$TOOLS/.*", SECTION, re.MULTILINE))
}


@pytest.fixture(scope="module")
def finished(digits, digits_config, tmp_path_factory):
    """The work dir of an epoch on a few pictures, with the results of the test in it."""
    folder = tmp_path_factory.mktemp("finished")
    cfg = Config.fromfile(digits_config)
    cfg.merge_from_dict(dict(work_dir=str(folder), launcher="none", experiment_name="finished"))
    # One of another test, of the same name, would write into its folder.
    cfg.visualizer.name = "finished"
    build_runner(cfg).train()
    (test,) = re.findall(r"^python (tools/test\.py .*?)$", SECTION, re.MULTILINE)
    with pytest.MonkeyPatch.context() as patch:
        script, *words = in_place(shlex.split(test), folder, digits, digits_config)
        patch.setattr(sys, "argv", [script, *words, "--work-dir", str(folder)])
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return folder


def in_place(words, finished, digits, digits_config):
    """The words of a command, with the names that the guide uses for files."""
    (scalars,) = finished.glob("*/vis_data/scalars.json")
    places = {
        "CONFIG": digits_config,
        "CHECKPOINT": finished / "epoch_1.pth",
        "data/mine/val.json": digits / "annotations" / "val.json",
        "SCALARS.json": scalars,
    }
    for name in ("results.pkl", "results.bbox.json", "confusion", "errors", "worst", "losses.png"):
        places[name] = finished / name
    places["test_evaluator.outfile_prefix=results"] = (
        f"test_evaluator.outfile_prefix={finished}/results"
    )
    places["val_evaluator.ann_file=data/mine/val.json"] = (
        f"val_evaluator.ann_file={digits}/annotations/val.json"
    )
    return [str(places.get(word, word)) for word in words]


@pytest.fixture
def run_mmdet(finished, digits, digits_config, run_here):
    def call(name, apart=False):
        words = in_place(COMMANDS[name], finished, digits, digits_config)
        if apart:
            return run([sys.executable, TOOLS / name, *words])
        return run_here(TOOLS / name, *words)

    return call


def test_the_guide_shows_all():
    assert set(COMMANDS) == {
        "analyze_logs.py",
        "analyze_results.py",
        "coco_error_analysis.py",
        "confusion_matrix.py",
        "eval_metric.py",
    }


def test_confusion_matrix(run_mmdet, finished):
    run_mmdet("confusion_matrix.py")
    assert (finished / "confusion" / "confusion_matrix.png").stat().st_size


def test_error_analysis(run_mmdet, finished):
    # It has several processes.
    run_mmdet("coco_error_analysis.py", apart=True)
    assert (finished / "errors" / "bbox" / "bbox-allclass-allarea.png").stat().st_size


def test_worst_and_best_pictures(run_mmdet, finished):
    run_mmdet("analyze_results.py")
    for folder in ("good", "bad"):
        assert list((finished / "worst" / folder).glob("*.png"))


def test_metrics_of_saved_results(run_mmdet, finished, capsys):
    run_mmdet("eval_metric.py")
    printed = capsys.readouterr().out.splitlines()[-1]
    (scalars,) = finished.glob("*/vis_data/scalars.json")
    validated = json.loads(scalars.read_text().splitlines()[-1])
    for name in ("coco/bbox_mAP", "coco/bbox_mIoU"):
        assert f"'{name}': {validated[name]}" in printed


def test_curves(run_mmdet, finished):
    run_mmdet("analyze_logs.py")
    assert (finished / "losses.png").stat().st_size
