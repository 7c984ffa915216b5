"""Data and tools that several test files use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


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
    """Run one of the Python tools as a user would."""
    return lambda script, *arguments, check=True: run(
        [sys.executable, f"tools/{script}", *arguments], check
    )


@pytest.fixture(scope="session")
def run_dist():
    """Run one of the scripts for several processes, on one thread each."""
    port = str(20_000 + os.getpid() % 20_000)
    return lambda script, *arguments: run(
        [f"tools/{script}", *arguments], PYTHON=sys.executable, PORT=port, OMP_NUM_THREADS="1"
    )


@pytest.fixture(scope="session")
def digits(tmp_path_factory, run_tool):
    """A small set of the demo's images: 24 to train on, 8 to validate."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    run_tool("make_digits.py", "--out", folder, "--train", 24, "--val", 8, "--size", 64)
    return folder


@pytest.fixture(scope="session")
def digits_options(digits):
    """--cfg-options that make the demo's config train on the small set, at 64x64."""
    return [
        f"train_dataloader.dataset.data_root={digits}/",
        f"val_dataloader.dataset.data_root={digits}/",
        f"test_dataloader.dataset.data_root={digits}/",
        f"val_evaluator.ann_file={digits}/annotations/val.json",
        f"test_evaluator.ann_file={digits}/annotations/val.json",
        "train_dataloader.dataset.pipeline.4.scale=(64,64)",
        "val_dataloader.dataset.pipeline.1.scale=(64,64)",
        "test_dataloader.dataset.pipeline.1.scale=(64,64)",
        "train_dataloader.batch_size=8",
        "default_hooks.logger.interval=1",
        "custom_hooks.0.log_interval=1",
    ]
