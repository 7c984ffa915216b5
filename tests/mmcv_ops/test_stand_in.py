"""The file that gives mmcv our operators, beside a copy of mmcv without its compiled module."""

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import mmcv
import pytest

from mmhadaptive.mmcv_ops import __main__ as command
from mmhadaptive.mmcv_ops.stand_in import FIRST_LINE, install, remove

from ..paths import ROOT

RECORD = "mmcv/__init__.py,sha256=x,331\nmmcv/version.py,sha256=y,10\n"


@pytest.fixture(scope="session")
def mmcv_without(tmp_path_factory):
    """A folder for PYTHONPATH with an mmcv that has no ``_ext``."""
    site = tmp_path_factory.mktemp("site")
    source = Path(mmcv.__file__).parent
    shutil.copytree(source, site / "mmcv", ignore=shutil.ignore_patterns("_ext*", "csrc", "*.pyc"))
    (site / "onedl_mmcv-2.dist-info").mkdir()
    (site / "onedl_mmcv-2.dist-info" / "RECORD").write_text(RECORD)
    return site


@pytest.fixture
def folder(mmcv_without):
    yield mmcv_without / "mmcv"
    (mmcv_without / "mmcv" / "_ext.py").unlink(missing_ok=True)
    (mmcv_without / "onedl_mmcv-2.dist-info" / "RECORD").write_text(RECORD)


def python(site, *arguments, first=()):
    path = os.pathsep.join(map(str, [*first, site, ROOT]))
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=site,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )


MMDET_FIRST = """
import sys
from mmdet.apis import DetInferencer
import mmcv._ext, torch
from mmcv.ops import batched_nms, deform_conv2d, roi_align
from mmengine.utils.dl_utils import mmcv_full_available
from mmcv.utils import collect_env

assert mmcv._ext.__file__.endswith("mmcv/_ext.py"), mmcv._ext.__file__
assert mmcv_full_available()
assert "mmhadaptive" in collect_env()["MMCV Compiler"]
# Nothing of the package but what is needed.
assert not {"mmhadaptive.ops", "mmhadaptive.layers", "mmhadaptive.engine"} & set(sys.modules)
boxes = torch.tensor([[0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 8]]).float()
scores, labels = torch.tensor([0.7, 0.9, 0.8]), torch.tensor([0, 0, 1])
dets, kept = batched_nms(boxes, scores, labels, dict(type="nms", iou_threshold=0.5))
assert kept.tolist() == [1, 2]
try:
    deform_conv2d(torch.zeros(1, 1, 5, 5), torch.zeros(1, 18, 3, 3), torch.zeros(1, 1, 3, 3))
except NotImplementedError as error:
    print(error)
"""


def test_mmdet_finds_it_when_it_is_imported_first(folder):
    assert "wrote" in python(folder.parent, "-m", "mmhadaptive.mmcv_ops", "install").stdout
    run = python(folder.parent, "-c", MMDET_FIRST)
    assert not run.returncode, run.stderr
    assert "no deform_conv_forward" in run.stdout


def test_without_it_detection_says_what_to_do(folder):
    run = python(folder.parent, "-c", "import mmhadaptive.models.dense_heads")
    assert "python -m mmhadaptive.mmcv_ops install" in run.stderr.splitlines()[-1]
    build = "from mmengine import Config; from mmhadaptive.engine.launch import build_runner; "
    build += "build_runner(Config(dict(default_scope='mmdet', launcher='none')))"
    run = python(folder.parent, "-c", build)
    assert "python -m mmhadaptive.mmcv_ops install" in run.stderr.splitlines()[-1]


def test_it_says_that_mmhadaptive_was_uninstalled(folder):
    install(folder)
    hide = "import sys; sys.modules['mmhadaptive'] = None; import mmcv.ops"
    run = python(folder.parent, "-c", hide)
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError")
    assert "mmcv/_ext.py" in last
    assert "delete the file" in last


def test_pip_knows_it(folder):
    record = folder.parent / "onedl_mmcv-2.dist-info" / "RECORD"
    for _ in range(2):
        assert install(folder) == folder / "_ext.py"
        assert record.read_text() == RECORD + "mmcv/_ext.py,,\n"
    assert remove(folder) == folder / "_ext.py"
    assert record.read_text() == RECORD
    assert not (folder / "_ext.py").exists()
    assert remove(folder) is None


def test_a_compiled_module_goes_first(folder):
    install(folder)
    compiled = folder / f"_ext{EXTENSION_SUFFIXES[0]}"
    compiled.write_text("no library")
    try:
        run = python(folder.parent, "-c", "import mmcv._ext")
        assert f"ImportError: {compiled}" in run.stderr
        remove(folder)
        assert install(folder) is None
        assert not (folder / "_ext.py").exists()
        assert "nothing to do" in python(folder.parent, "-m", command.__package__, "install").stdout
    finally:
        compiled.unlink()


@pytest.mark.parametrize("action", ["install", "remove"])
def test_a_file_of_another_stays(folder, action):
    (folder / "_ext.py").write_text("nms = None\n")
    run = python(folder.parent, "-m", "mmhadaptive.mmcv_ops", action)
    assert run.returncode == 2
    assert "was not written by mmhadaptive" in run.stderr
    assert (folder / "_ext.py").read_text() == "nms = None\n"


def test_a_file_of_an_older_release_is_replaced(folder):
    (folder / "_ext.py").write_text(f"{FIRST_LINE} of old")
    install(folder)
    assert "extension" in (folder / "_ext.py").read_text()


def test_no_mmcv(tmp_path):
    (tmp_path / "mmcv").mkdir()  # What an uninstallation may leave behind.
    code = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
    code += "sys.argv[1:] = ['install']; sys.path.append('.')\n"
    code += "from mmhadaptive.mmcv_ops.__main__ import main; main()"
    run = python(tmp_path, "-c", code)
    assert run.returncode == 2
    assert "mmcv is not installed" in run.stderr
