"""Loading the libraries, and doing without them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmhadaptive import ops
from mmhadaptive.ops.library import DEVICES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(ops.__file__).parent

SCRIPT = """
import torch
from mmhadaptive.ops import cross_hadamard
from mmhadaptive.ops.library import DEVICES
x = torch.randn(1, 4, 2, 2)
y = cross_hadamard(x, torch.tensor([[2, 0, 3]]), torch.ones(1, 3), None, None, None, "none")
assert torch.equal(y[:, 4], x[:, 2] * x[:, 0])
print(sorted(DEVICES))
"""

OTHER_KERNELS = """
import itertools
from literal import NORMS, TOLERANCES, assert_matches, literal, make_inputs, results
from mmhadaptive.ops import cross_hadamard
# Small, whole vectors and more, a single pixel.
shapes = (dict(), dict(height=20, width=20, channels=24, selected=18), dict(height=1, width=1))
for shape, norm, dtype, channels_last in itertools.product(
    shapes, NORMS, TOLERANCES, (False, True)
):
    inputs = make_inputs(norm=norm, dtype=dtype, channels_last=channels_last, **shape)
    assert_matches(results(cross_hadamard, inputs), results(literal, inputs), dtype)
"""


def run(script, folder=ROOT, **variables):
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), **variables},
        capture_output=True,
        text=True,
        check=True,
    )


def test_environment_variable_forces_the_reference():
    done = run(SCRIPT, MMHADAPTIVE_REFERENCE="1")
    assert done.stdout == "[]\n"
    assert "Warning" not in done.stderr


def test_works_without_the_library_with_one_warning(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "mmhadaptive" / "ops", ignore=shutil.ignore_patterns("*.so"))
    (tmp_path / "mmhadaptive" / "__init__.py").touch()
    done = run(SCRIPT, tmp_path)
    assert done.stdout == "[]\n"
    assert done.stderr.count("UserWarning") == 1
    assert "installed without its compiled operator" in done.stderr


# A CUDA build of torch, as far as loading asks.
WITH_CUDA = 'import torch\ntorch.version.cuda = "13.0"\n' + SCRIPT


@pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")
@pytest.mark.parametrize(
    ("broken", "devices"),
    [("libmmhadaptive_cpu.so", []), ("libmmhadaptive_cuda.so", ["cpu", "meta"])],
)
def test_a_library_that_does_not_load_is_replaced_with_one_warning(tmp_path, broken, devices):
    """What a torch that is older than the library lacks, the loader reports like a broken file."""
    folder = tmp_path / "mmhadaptive" / "ops"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*_cuda.so"))
    (tmp_path / "mmhadaptive" / "__init__.py").touch()
    (folder / "libmmhadaptive_cuda.so").touch()
    (folder / broken).write_text("not a library")
    done = run(WITH_CUDA, tmp_path)
    assert done.stdout == f"{devices}\n"
    assert done.stderr.count("UserWarning") == 1
    for words in (f"{broken} does not load beside torch {torch.__version__}", "reinstall"):
        assert words in done.stderr


def test_needs_torch_alone():
    script = "import sys, mmhadaptive.ops; print(*sys.modules)"
    modules = run(script).stdout.split()
    assert not {"mmengine", "mmcv", "mmdet", "mmpretrain", "mmhadaptive.layers"} & set(modules)


@pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")
@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_kernels_for_other_processors(capability):
    """The kernels that this machine would not choose are right as well."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "ops")])
    run(OTHER_KERNELS, ATEN_CPU_CAPABILITY=capability, PYTHONPATH=path)
