"""What setup.py builds: sources, flags, and the CUDA library for whom."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def test_every_source_belongs_to_one_library(setup_script):
    """But those for the CPU, which two share with all their flags."""
    libraries = setup_script["LIBRARIES"].values()
    sources = [source for library in libraries for source in {name for name, _ in library.sources}]
    csrc = ROOT / "csrc"
    files = [path for path in csrc.rglob("*") if path.suffix in (".cpp", ".cu")]
    shared = {name for name, _ in setup_script["FORWARD_SOURCES"]}
    assert shared
    assert all(name.startswith("cpu/") for name in shared)
    assert sorted(sources) == sorted([*(str(path.relative_to(csrc)) for path in files), *shared])
    forward = [source for source in setup_script["CPU_SOURCES"] if source[0] in shared]
    assert forward == setup_script["FORWARD_SOURCES"]


def test_what_a_library_needs(setup_script):
    """The folders that its flags name; one that is named nowhere is never looked for."""
    needs = {name: library.needs() for name, library in setup_script["LIBRARIES"].items()}
    assert needs == {
        "mmhadaptive.ops.libmmhadaptive_cpu": {"torch"},
        "mmhadaptive.ops.libmmhadaptive_cuda": {"torch"},
        "mmhadaptive.deploy.libmmhadaptive_onnxruntime": {"onnxruntime"},
    }


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


def executable(path, script):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


# Note how they are called, and write what they are asked for.
COMPILER = """
echo "$(basename "$0") $*" >> "$CALLS"
[ "$1" != --list-gpu-code ] || echo sm_80 sm_90
while [ $# -gt 0 ]; do [ "$1" != -o ] || echo new > "$2"; shift; done
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with compilers that compile nothing, and with the GPUs that a test gives it."""
    programs = tmp_path / "programs"
    for name in ("c++", "cuda/bin/nvcc"):
        (programs / name).parent.mkdir(parents=True, exist_ok=True)
        executable(programs / name, COMPILER)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("CXX", str(programs / "c++"))
    monkeypatch.setenv("CUDA_HOME", str(programs / "cuda"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    for name in ("MMHADAPTIVE_CUDA", "TORCH_CUDA_ARCH_LIST", "ONNXRUNTIME_INCLUDE_DIR"):
        monkeypatch.delenv(name, raising=False)
    # Nothing is fetched here.
    monkeypatch.setenv("MMHADAPTIVE_ONNXRUNTIME", "0")

    def gpus(*capabilities):
        lines = "".join(f"echo {name}\n" for name in capabilities)
        executable(programs / "nvidia-smi", lines or "exit 9")

    gpus()
    return gpus


ALL = "7.5;8.0;8.6;8.9;9.0+PTX"


@pytest.mark.parametrize(
    ("choice", "torch_cuda", "here", "gpus", "architectures"),
    [
        ("auto", None, True, ["9.0"], None),
        ("auto", "13.0", True, ["9.0"], "9.0"),
        ("auto", "13.0", True, ["9.0", "8.0", "9.0"], "8.0;9.0"),
        # No GPU, as in the build of a container, and one that nvcc is too old for.
        ("auto", "13.0", True, [], ALL),
        ("auto", "13.0", True, ["9.0", "12.0"], ALL),
        # A wheel.
        ("auto", None, False, ["9.0"], ALL),
        ("1", None, True, ["9.0"], ALL),
        ("0", "13.0", False, ["9.0"], None),
    ],
)
def test_the_cuda_library_is_for(
    setup_script, machine, monkeypatch, choice, torch_cuda, here, gpus, architectures
):
    machine(*gpus)
    nvcc = f"{os.environ['CUDA_HOME']}/bin/nvcc"
    plan_cuda = setup_script["plan_cuda"]
    monkeypatch.setenv("MMHADAPTIVE_CUDA", choice)
    assert plan_cuda(torch_cuda, here) == (architectures and (nvcc, architectures))
    if architectures is not None:
        monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.6")
        assert plan_cuda(torch_cuda, here) == (nvcc, "8.6")


def test_without_nvcc(setup_script, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("MMHADAPTIVE_CUDA", "auto")
    assert setup_script["plan_cuda"]("13.0", True) is None
    monkeypatch.setenv("MMHADAPTIVE_CUDA", "1")
    with pytest.raises(FileNotFoundError, match="no nvcc"):
        setup_script["plan_cuda"]("13.0", True)


def test_wrong_choice(setup_script, monkeypatch):
    monkeypatch.setenv("MMHADAPTIVE_CUDA", "yes")
    with pytest.raises(ValueError, match="0, 1 or auto, got 'yes'"):
        setup_script["plan_cuda"](None, True)


@pytest.fixture
def headers(setup_script, tmp_path, monkeypatch):
    """How headers of ONNX Runtime are looked for on a machine that has none; apt's programs do
    what a test makes them do, and note it."""
    scope = setup_script["find_onnxruntime"].__globals__
    monkeypatch.setitem(scope, "ROOT", tmp_path)
    monkeypatch.setitem(scope, "SYSTEM_INCLUDES", [str(tmp_path / "include")])
    monkeypatch.setitem(scope, "APT_HELPER", tmp_path / "programs" / "apt-helper")
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in ("MMHADAPTIVE_ONNXRUNTIME", "ONNXRUNTIME_INCLUDE_DIR"):
        monkeypatch.delenv(name, raising=False)

    def apt(
        helper, dpkg="mkdir -p $3/usr/include/onnxruntime; touch $3/usr/include/onnxruntime/$H"
    ):
        monkeypatch.setenv("H", HEADER)
        executable(tmp_path / "programs" / "apt-get", "echo http://one/; echo http://two/debian")
        executable(tmp_path / "programs" / "apt-helper", f'echo "$*" >> "$CALLS"\n{helper}')
        executable(tmp_path / "programs" / "dpkg-deb", dpkg)

    return apt


HEADER = "onnxruntime_cxx_api.h"


def test_headers_of_onnxruntime(setup_script, headers, tmp_path, monkeypatch):
    find, plan = setup_script["find_onnxruntime"], setup_script["plan_onnxruntime"]
    # The second mirror has the package.
    headers('case "$*" in *http://one/*) exit 100;; esac')
    version = setup_script["ONNXRUNTIME_VERSION"]
    fetched = tmp_path / "build" / f"onnxruntime-{version}"
    assert find() is None
    assert plan() == find() == fetched
    assert [path.name for path in (tmp_path / "build").iterdir()] == [fetched.name]
    calls = (tmp_path / "calls").read_text().splitlines()
    package, checksum = setup_script["ONNXRUNTIME_PACKAGE"], setup_script["ONNXRUNTIME_SHA256"]
    urls = [f"http://one/{package}", f"http://two/debian/{package}"]
    assert [call.split()[-3] for call in calls] == urls
    assert {call.split()[-1] for call in calls} == {f"SHA256:{checksum}"}
    # What is there is not fetched again, those of the system come before, and a path before all.
    plan()
    assert (tmp_path / "calls").read_text().splitlines() == calls
    for folder in ("include/onnxruntime", "mine"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / HEADER).touch()
    assert plan() == tmp_path / "include" / "onnxruntime"
    monkeypatch.setenv("ONNXRUNTIME_INCLUDE_DIR", str(tmp_path / "mine"))
    assert plan() == tmp_path / "mine"
    monkeypatch.setenv("MMHADAPTIVE_ONNXRUNTIME", "0")
    assert plan() is None
    monkeypatch.delenv("MMHADAPTIVE_ONNXRUNTIME")
    monkeypatch.setenv("ONNXRUNTIME_INCLUDE_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=f"nowhere has no {HEADER}"):
        plan()


@pytest.mark.parametrize("programs", [("exit 100",), ("exit 0", "exit 2"), None])
def test_without_headers_of_onnxruntime(
    setup_script, headers, tmp_path, monkeypatch, capsys, programs
):
    """A mirror that has another file or none, a package that does not unpack, no apt."""
    if programs:
        headers(*programs)
    plan = setup_script["plan_onnxruntime"]
    assert plan() is None
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("no library for ONNX Runtime")
    assert "ONNXRUNTIME_INCLUDE_DIR" in last
    assert not list(tmp_path.glob("build/*"))
    monkeypatch.setenv("MMHADAPTIVE_ONNXRUNTIME", "1")
    with pytest.raises(
        FileNotFoundError, match="MMHADAPTIVE_ONNXRUNTIME=1, but there are no headers"
    ):
        plan()


def test_find_torch(setup_script):
    folder, version, cuda = setup_script["find_torch"]()
    assert folder == Path(torch.__file__).parent
    assert version == tuple(map(int, torch.__version__.split(".")[:2]))
    assert cuda == torch.version.cuda


@pytest.fixture
def project(tmp_path, machine):
    """Builds what holds the operator alone, beside a torch that is no more than its version."""
    folder = tmp_path / "project"
    ops = Path("mmhadaptive", "ops")
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / ops, folder / ops, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "mmhadaptive/__init__.py"):
        shutil.copy2(ROOT / name, folder / name)
    (tmp_path / "site" / "torch").mkdir(parents=True)
    (tmp_path / "site" / "torch" / "__init__.py").touch()

    def build(kind, torch_cuda, **variables):
        version = f"__version__ = '2.12.0'\ncuda: Optional[str] = {torch_cuda!r}\n"
        (tmp_path / "site" / "torch" / "version.py").write_text(version)
        script = f"import setuptools.build_meta as backend; print(backend.build_{kind}('dist'))"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(tmp_path / "site"), **variables},
            check=True,
            capture_output=True,
            text=True,
        )
        return folder / "dist" / done.stdout.split()[-1]

    return build


def names_of_libraries(paths):
    return sorted(Path(path).name for path in paths if str(path).endswith(".so"))


CPU, CUDA = "libmmhadaptive_cpu.so", "libmmhadaptive_cuda.so"
ONNXRUNTIME = "libmmhadaptive_onnxruntime.so"


@pytest.mark.parametrize(
    ("torch_cuda", "libraries", "targets"), [(None, [CPU], set()), ("13.0", [CPU, CUDA], {"sm_90"})]
)
def test_an_editable_installation_is_for_this_machine(
    project, machine, tmp_path, torch_cuda, libraries, targets
):
    machine("9.0")
    project("editable", torch_cuda)
    assert names_of_libraries((tmp_path / "project" / "mmhadaptive" / "ops").iterdir()) == libraries
    calls = (tmp_path / "calls").read_text()
    assert set(re.findall(",code=([a-z0-9_]+)", calls)) == targets


def test_a_wheel_is_for_every_machine(project, machine, tmp_path):
    machine("9.0")

    def build(**variables):
        wheel = project("wheel", None, **variables)
        return wheel.name.split("-", 2)[2], names_of_libraries(zipfile.ZipFile(wheel).namelist())

    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert build() == (f"py3-none-{platform}.whl", [CPU, CUDA])
    targets = {"sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "compute_90"}
    assert set(re.findall(",code=([a-z0-9_]+)", (tmp_path / "calls").read_text())) == targets
    # In the same folder, in which the last build has left its libraries.
    assert build(MMHADAPTIVE_CUDA="0") == (f"py3-none-{platform}.whl", [CPU])
    assert build(CXX="no-compiler") == ("py3-none-any.whl", [])
    (tmp_path / HEADER).touch()
    here = dict(MMHADAPTIVE_ONNXRUNTIME="1", ONNXRUNTIME_INCLUDE_DIR=str(tmp_path))
    (tmp_path / "calls").unlink()
    assert build(MMHADAPTIVE_CUDA="0", **here)[1] == [CPU, ONNXRUNTIME]
    compiled = re.findall(r" -c (\S+)", (tmp_path / "calls").read_text())
    kernels = [path for path in compiled if path.endswith("forward_kernels.cpp")]
    assert kernels
    assert all(kernels.count(path) <= 3 for path in kernels)
