"""Data and tools that several test files use."""

import os
import runpy
import subprocess
import sys
from unittest import mock

# Before torch is imported: the tests run in as many processes as there are cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from mmengine.registry import DefaultScope

from .apart import Apart, free_port, python_apart
from .paths import CONFIGS, ROOT, SHARED


@pytest.fixture(scope="session")
def setup_script():
    """The names that setup.py defines."""
    with mock.patch("setuptools.setup"):
        return runpy.run_path(str(ROOT / "setup.py"))


@pytest.fixture(autouse=True, scope="module")
def no_default_scope_from_another_file():
    """What the fixtures of a whole file build leaves a scope too, for the next file."""
    DefaultScope._instance_dict.clear()


@pytest.fixture(autouse=True)
def same_default_scope():
    """mmdet's inferencer leaves its scope as the default one; a test does not."""
    scopes = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(scopes)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}")
    return SHARED


def run(command, check=True, **environment):
    """Run a command in the root of the checkout; returns the finished process."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    if check and result.returncode:
        raise AssertionError(f"{command} failed:\n{result.stdout}\n{result.stderr}")
    return result


@pytest.fixture(scope="session")
def run_tool():
    """Run one of the Python tools as a user would, in a process of its own."""
    return lambda script, *arguments, check=True: Apart(f"tools/{script}", *arguments).wait(check)


@pytest.fixture
def run_here(monkeypatch):
    """Run one of the Python tools in this process, which spares the imports."""

    def run_script(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        # Errors come out of it as they were raised.
        monkeypatch.setenv("MMHADAPTIVE_TRACEBACK", "1")
        runpy.run_path(str(ROOT / "tools" / script), run_name="__main__")

    return run_script


@pytest.fixture
def run_dist(tmp_path):
    """Run one of the scripts for several processes."""
    with python_apart(tmp_path) as python:
        # The second is torchrun's, for the processes that it starts.
        programs = dict(PYTHON=sys.executable, PYTHON_EXEC=str(python))

        def call(script, *arguments):
            return run([f"tools/{script}", *arguments], PORT=str(free_port()), **programs)

        yield call


@pytest.fixture(scope="session")
def few_images(tmp_path_factory):
    """A folder with 23 images as CIFAR-100 has them: noise and, for enlarged edges, squares."""
    path = tmp_path_factory.mktemp("few_images")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (23, 32, 32, 3), dtype=np.uint8)
    images[::2, 8:24, 8:24] = 255
    np.savez(path / "train.npz", images=images, labels=np.arange(23))
    return path


@pytest.fixture
def in_memory(few_images):
    """These images in the memory of the CPU."""
    # Not above: the tests of the operator run without mmengine.
    from mmengine.registry import DefaultScope

    from mmhadaptive.datasets import InMemoryDataset

    # Whatever scope a Runner of another test has left.
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return InMemoryDataset(dict(type="CIFAR100Files", data_root=str(few_images)), device="cpu")


@pytest.fixture(scope="session")
def digits(tmp_path_factory, run_tool):
    """A small set of the demo's images: 24 to train on, 8 to validate; and 40 crops."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    counts = ("--train", 24, "--val", 8, "--crops", 40)
    run_tool("data/make_digits.py", "--out-dir", folder, *counts, "--size", 96)
    return folder


@pytest.fixture(scope="session")
def digits_config(digits):
    """The demo's config for the small set, at 96x96, for one epoch from random weights; it keeps
    every score."""
    path = digits.parent / "digits.py"
    path.write_text(
        f"""
_base_ = {str(CONFIGS / "detection" / "ssd_hadaptive_s_digits.py")!r}
data_root = {f"{digits}/"!r}
model = dict(
    backbone=dict(init_cfg=dict(_delete_=True, type="Kaiming", layer="Conv2d")),
    test_cfg=dict(score_thr=0.0, max_per_img=5),
)
train_pipeline = _base_.train_pipeline
train_pipeline[-2].scale = (96, 96)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (96, 96)
train_dataloader = dict(
    batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
# The warm-up would be shorter than an iteration.
param_scheduler = [dict(type="CosineAnnealingLR", T_max=3, by_epoch=False)]
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=1)
default_hooks = dict(logger=dict(interval=1))
"""
    )
    return path
