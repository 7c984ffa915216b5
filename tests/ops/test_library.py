"""Building and loading the libraries, and doing without them."""

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
LIBRARIES = sorted(FOLDER.glob("libmmhadaptive_*.so"))

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


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")
@pytest.mark.skipif(not LIBRARIES, reason="the operator is not compiled")
@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_libraries_depend_on_no_python_and_no_cxx_abi_of_torch(library):
    def readelf(flag):
        command = ["readelf", "--wide", flag, library]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    needed = [line.split("[")[1][:-1] for line in readelf("-d").splitlines() if "NEEDED" in line]
    assert not [
        name for name in needed if "python" in name or name.startswith(("libc10", "libcud"))
    ]
    undefined = [line.split()[-1] for line in readelf("--dyn-syms").splitlines() if " UND " in line]
    # Stable functions have C linkage; a mangled name of torch would tie the library to one version.
    assert not [name for name in undefined if name.startswith(("_ZN2at", "_ZN3c10", "_ZN5torch"))]
    assert not [name for name in undefined if name.startswith("Py")]


def test_every_source_belongs_to_one_library(setup_script):
    libraries = setup_script["LIBRARIES"].values()
    sources = [source for library in libraries for source in {name for name, _ in library.sources}]
    csrc = ROOT / "csrc"
    files = [path for path in csrc.rglob("*") if path.suffix in (".cpp", ".cu")]
    assert sorted(sources) == sorted(str(path.relative_to(csrc)) for path in files)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("9.0", ["-gencode=arch=compute_90,code=sm_90"]),
        (
            "8.6 9.0+PTX",
            [
                "-gencode=arch=compute_86,code=sm_86",
                "-gencode=arch=compute_90,code=sm_90",
                "-gencode=arch=compute_90,code=compute_90",
            ],
        ),
        (
            "8.9;8.0+PTX",
            [
                "-gencode=arch=compute_80,code=sm_89",
                "-gencode=arch=compute_80,code=sm_80",
                "-gencode=arch=compute_80,code=compute_80",
            ],
        ),
        (
            "7.5;10.0a",
            ["-gencode=arch=compute_75,code=sm_75", "-gencode=arch=compute_100a,code=sm_100a"],
        ),
    ],
)
def test_architecture_flags(setup_script, text, flags):
    assert setup_script["architecture_flags"](text) == flags


def test_wrong_architecture(setup_script):
    with pytest.raises(ValueError, match="'Hopper'"):
        setup_script["architecture_flags"]("Hopper")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"CI": "true"}, True),
        ({"CI": "false"}, False),
        ({"MMHADAPTIVE_WERROR": "1"}, True),
        ({"MMHADAPTIVE_WERROR": "0", "CI": "true"}, False),
    ],
)
def test_warnings_are_errors_where_asked(setup_script, monkeypatch, variables, expected):
    for name in ("CI", "MMHADAPTIVE_WERROR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert setup_script["warnings_are_errors"]() == expected


def test_find_nvcc(setup_script, tmp_path, monkeypatch):
    find_nvcc = setup_script["find_nvcc"]
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("MMHADAPTIVE_CUDA", "auto")
    assert find_nvcc() is None
    monkeypatch.setenv("MMHADAPTIVE_CUDA", "1")
    with pytest.raises(FileNotFoundError, match="no nvcc"):
        find_nvcc()
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.touch(mode=0o755)
    assert find_nvcc() == str(nvcc)
    monkeypatch.setenv("MMHADAPTIVE_CUDA", "0")
    assert find_nvcc() is None
    monkeypatch.setenv("MMHADAPTIVE_CUDA", "yes")
    with pytest.raises(ValueError, match="0, 1 or auto, got 'yes'"):
        find_nvcc()


def test_find_torch(setup_script):
    folder, version = setup_script["find_torch"]()
    assert folder == Path(torch.__file__).parent
    assert version == tuple(map(int, torch.__version__.split(".")[:2]))
