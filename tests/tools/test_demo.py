"""The demo's commands, wherever it is started. `make demo` itself takes minutes."""

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from ..paths import ROOT


@pytest.mark.parametrize("start", [".", "elsewhere"])
def test_commands_from_any_folder(start, tmp_path, monkeypatch):
    """Scripts and config are the checkout's; data and results are where the user stands."""
    (tmp_path / "tools" / "dev").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    demo = shutil.copy(ROOT / "tools" / "dev" / "demo.py", tmp_path / "tools" / "dev")
    here = tmp_path / start
    monkeypatch.chdir(here)
    commands = []

    def run(command):
        _, script, *arguments = command
        commands.append([script, *arguments])
        if script.endswith("make_digits.py"):
            Path("data/digits").mkdir(parents=True)
        elif script.endswith("train.py"):
            work_dir = Path(arguments[arguments.index("--work-dir") + 1])
            work_dir.mkdir(parents=True)
            # mmengine writes an absolute path; a relative one lies in the work dir.
            (work_dir / "last_checkpoint").write_text("epoch_3.pth\n")
        elif script.endswith("test.py"):
            record = dict(metrics={"coco/bbox_mAP_50": 0.9})
            Path("work_dirs/demo/test.json").write_text(json.dumps(record))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    runpy.run_path(str(demo), run_name="__main__")
    root = Path(os.path.relpath(tmp_path, here))
    configs = root / "configs"
    classifier = str(configs / "classification" / "digits" / "hadaptive_s_digits.py")
    detector = str(configs / "detection" / "ssd_hadaptive_s_digits.py")
    checkpoint = "work_dirs/demo/detector/epoch_3.pth"
    assert [command[0] for command in commands] == [
        str(root / "tools" / f"{name}.py")
        for name in ("data/make_digits", "train", "train", "test", "infer")
    ]
    assert [command[1:4] for command in commands] == [
        ["--out-dir", "data/digits"],
        [classifier, "--work-dir", "work_dirs/demo/classifier"],
        [detector, "--work-dir", "work_dirs/demo/detector"],
        [detector, checkpoint, "--work-dir"],
        ["data/digits/val", detector, checkpoint],
    ]
    pretrained = "model.backbone.init_cfg.checkpoint=work_dirs/demo/classifier/epoch_3.pth"
    assert commands[2][-1] == pretrained
