"""What the source distribution and the wheel hold, and where the wheel runs."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from mmengine.registry import MODELS, DefaultScope

import mmhadaptive.engine  # noqa: F401  makes the name known

from .paths import ROOT

CPU, CUDA = "ops/libmmhadaptive_cpu.so", "ops/libmmhadaptive_cuda.so"
ONNXRUNTIME = "deploy/libmmhadaptive_onnxruntime.so"


def tracked(*folders):
    """The files of the repository, below some folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return set(done.stdout.splitlines())


def build(kind, folder):
    """Call the build backend in a folder, without a compiler."""
    script = f"import setuptools.build_meta as backend; backend.build_{kind}('dist')"
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"CXX": "no-compiler", "PYTHONPATH": ""},
        check=True,
        capture_output=True,
    )
    (archive,) = (folder / "dist").iterdir()
    return archive


@pytest.fixture(scope="session")
def sdist(tmp_path_factory):
    """The unpacked source distribution of this checkout, in which libraries were compiled."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    (copy / "mmhadaptive" / CPU).touch()
    target = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", copy)) as archive:
        assert not [member.name for member in archive if member.islnk() or member.issym()]
        archive.extractall(target, filter="data")
    (root,) = target.iterdir()
    return root


@pytest.fixture(scope="session")
def wheel(sdist):
    """The unpacked wheel that is built from the source distribution."""
    target = sdist.parent / "site"
    with zipfile.ZipFile(build("wheel", sdist)) as archive:
        archive.extractall(target)
    return target


@pytest.fixture(scope="session")
def compiled_wheel(sdist, setup_script, tmp_path_factory):
    """The wheel with what can be compiled here: all libraries, that of CUDA for the oldest
    architecture, if TORCH_CUDA_ARCH_LIST does not say more."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("needs a C++ compiler")
    source = tmp_path_factory.mktemp("compiled") / "source"
    shutil.copytree(sdist, source)
    set_here = {"MMHADAPTIVE_CUDA", "PYTHONPATH"}
    # Nothing is fetched here.
    headers = setup_script["find_onnxruntime"]()
    choice = {"ONNXRUNTIME_INCLUDE_DIR": str(headers)} if headers else {}
    choice["MMHADAPTIVE_ONNXRUNTIME"] = "1" if headers else "0"
    environment = {"TORCH_CUDA_ARCH_LIST": "7.5", **os.environ}
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", source],
        cwd=source.parent,
        env={name: value for name, value in environment.items() if name not in set_here} | choice,
        check=True,
        capture_output=True,
    )
    (wheel,) = source.parent.glob("*.whl")
    return wheel


def files(folder, *parts):
    return {
        str(path.relative_to(folder))
        for part in parts
        for path in (folder / part).rglob("*")
        if path.is_file()
    }


def test_the_source_distribution_holds_what_is_built_and_run(sdist):
    folders = ("checkpoints", "csrc", "configs", "tools", "requirements")
    assert files(sdist, *folders) == tracked(*folders)
    links = {f"mmhadaptive/.mim/{name}" for name in ("checkpoints", "configs", "tools")}
    assert tracked("mmhadaptive") - links <= files(sdist, "mmhadaptive")
    top = {"setup.py", "pyproject.toml", "README.md", "LICENSE", "model-index.yml"}
    assert top <= {path.name for path in sdist.iterdir()}
    assert not list(sdist.rglob("*.so"))
    assert not {"docs", "tests", ".ci"} & {path.name for path in sdist.iterdir()}


def test_the_wheel_holds_configs_and_tools_beside_the_package(wheel):
    package = files(wheel, "mmhadaptive")
    for folder in ("checkpoints", "configs", "tools"):
        assert {f"mmhadaptive/.mim/{name}" for name in tracked(folder)} <= package
    modules = {name for name in tracked("mmhadaptive") if name.endswith(".py")}
    assert modules == {n for n in package if n.endswith(".py") and "/.mim/" not in n}
    assert not [path for path in wheel.rglob("*") if path.is_symlink() or path.suffix == ".so"]
    assert {path.name.partition("-")[0] for path in wheel.iterdir()} == {"mmhadaptive"}


@pytest.fixture(scope="session")
def libraries(compiled_wheel):
    """The folder of the package in the wheel."""
    target = compiled_wheel.parent / "site"
    with zipfile.ZipFile(compiled_wheel) as archive:
        archive.extractall(target)
    return target / "mmhadaptive"


def test_the_wheel_has_all_libraries_and_no_python_in_its_name(
    compiled_wheel, libraries, setup_script
):
    assert compiled_wheel.name.split("-", 2)[2].startswith("py3-none-linux_")
    expected = {CPU}
    if shutil.which("nvcc"):
        expected.add(CUDA)
    if setup_script["find_onnxruntime"]():
        expected.add(ONNXRUNTIME)
    assert {str(path.relative_to(libraries)) for path in libraries.rglob("*.so")} == expected


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")
@pytest.mark.parametrize("name", [CPU, CUDA, ONNXRUNTIME])
def test_libraries_depend_on_no_python_and_no_cxx_abi_of_torch(libraries, name):
    if not (libraries / name).exists():
        pytest.skip("needs nvcc" if name == CUDA else "needs the headers of ONNX Runtime")

    def readelf(flag):
        command = ["readelf", "--wide", flag, libraries / name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    needed = [line.split("[")[1][:-1] for line in readelf("-d").splitlines() if "NEEDED" in line]
    assert not [
        name for name in needed if "python" in name or name.startswith(("libc10", "libcud"))
    ]
    # It runs beside no torch, and in the ONNX Runtime that loads it.
    foreign = [name for name in needed if "torch" in name or "onnxruntime" in name]
    assert bool(foreign) == (name != ONNXRUNTIME)
    undefined = [line.split()[-1] for line in readelf("--dyn-syms").splitlines() if " UND " in line]
    # Stable functions have C linkage; a mangled name of torch would tie the library to one version.
    assert not [name for name in undefined if name.startswith(("_ZN2at", "_ZN3c10", "_ZN5torch"))]
    assert not [name for name in undefined if name.startswith("Py")]


# The oldest that the libraries are for, from PyPI, where it is a CUDA build.
OLDEST_TORCH = "2.10.0"
# Tests of what is not installed: sources and setup.py.
OF_SOURCES = ("test_build", "test_cuda_kernels", "test_index_maths", "test_without_framework")


def other_python():
    """The oldest Python from 3.10 on that is not the running one; else the running one."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(10, 14):
        name = f"python3.{minor}"
        for program in (shutil.which(name), *versions.glob(f"3.{minor}.*/bin/{name}")):
            if program is None or minor == sys.version_info.minor:
                continue
            works = [program, "-c", "import ensurepip, venv"]
            if not subprocess.run(works, capture_output=True).returncode:
                return program
    return sys.executable


@pytest.fixture(scope="module")
def other_environment():
    """An environment of another Python with another torch, and nothing of OpenMMLab."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([other_python(), "-m", "venv", folder], check=True)
        pip = [Path(folder, "bin", "python"), "-m", "pip", "install"]
        packages = (f"torch=={OLDEST_TORCH}", "numpy", "pytest", "hypothesis")
        options = ("--no-cache-dir", "--no-compile", "--disable-pip-version-check")
        done = subprocess.run([*pip, *options, *packages], capture_output=True, text=True)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            pytest.skip(f"no torch {OLDEST_TORCH} here: {errors[:1] or done.stderr}")
        yield Path(folder)


LOADED = """
import mmhadaptive, torch
from mmhadaptive.ops.library import DEVICES
print(mmhadaptive.__path__[0], torch.__version__.split("+")[0], torch.version.cuda, *DEVICES)
"""


@pytest.mark.downloads
def test_the_wheel_runs_beside_another_torch_and_python(
    compiled_wheel, libraries, other_environment, tmp_path
):
    """Without a compiler, from a copy of the operator's tests outside of the checkout."""
    python = other_environment / "bin" / "python"

    def run(*arguments):
        return subprocess.run(
            [python, *arguments],
            cwd=tmp_path,
            env={"PATH": str(python.parent), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )

    subprocess.run([python, "-m", "pip", "install", "--no-deps", compiled_wheel], check=True)
    loaded = run("-c", LOADED)
    assert not loaded.stderr
    package, version, cuda, *devices = loaded.stdout.split()
    assert Path(package).is_relative_to(other_environment)
    assert version == OLDEST_TORCH != torch.__version__.split("+")[0]
    expected = {"cpu", "meta"}
    if cuda != "None" and (libraries / CUDA).exists():
        expected.add("cuda")
    assert set(devices) == expected

    shutil.copytree(ROOT / "tests" / "ops", tmp_path / "tests" / "ops")
    ignored = [f"--ignore=tests/ops/{name}.py" for name in OF_SOURCES]
    # Two tests take many gigabytes, and test what is in no torch.
    chosen = ["--hypothesis-profile=ci", "-k", "not 2_to_the_31", *ignored]
    done = run("-m", "pytest", "-q", "-rs", "tests/ops", *chosen)
    assert not done.returncode, done.stdout
    assert "the operator is not compiled" not in done.stdout


@pytest.mark.downloads
@pytest.mark.parametrize("compiler", ["c++", "nvcc"])
def test_the_sources_have_what_the_headers_of_another_torch_declare(
    setup_script, other_environment, compiler
):
    if compiler == "c++":
        command = [os.environ.get("CXX", "g++"), *setup_script["CXX_FLAGS"], "-fsyntax-only"]
    else:
        command = ["nvcc", *setup_script["NVCC_FLAGS"], "-Xcompiler=-fsyntax-only"]
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    (headers,) = other_environment.glob("lib/python3*/site-packages/torch")
    libraries = setup_script["LIBRARIES"].values()
    sources = [
        each for library in libraries if library.compiler == compiler for each in library.sources
    ]
    for name, flags in sources:
        if name.startswith("pytorch/"):
            flags = [flag.format(torch=headers) for flag in flags]
            source = ROOT / "csrc" / name
            subprocess.run([*command, *flags, "-c", source, "-o", os.devnull], check=True)


BY_NAME = """
import sys
import mmpretrain
import numpy as np
import torch
from mmdet.apis import DetInferencer, init_detector
from mmengine.config import Config
from mmengine.infer import BaseInferencer

import mmhadaptive.engine  # noqa: F401  makes the name known
import mmhadaptive.engine
import mmhadaptive.mmpretrain

folder, package = sys.argv[1:]
assert mmhadaptive.__path__ == [package], mmhadaptive.__path__

image = np.random.randint(255, size=(64, 48, 3), dtype=np.uint8)
classifier = mmpretrain.get_model(f"{folder}/classifier.py")
assert classifier.head.num_classes == 7
assert "hadaptive_s_cifar100" in mmpretrain.list_models("hadaptive")
classifier = mmpretrain.get_model("hadaptive_s_cifar100")
assert "pred_class" in mmpretrain.inference_model(classifier, image)
assert "mobilevit_small_ach_cifar100" in mmpretrain.list_models("mobilevit")

cfg = Config.fromfile(f"{folder}/detector.py")
detector = init_detector(cfg, device="cpu")
assert detector.test_cfg.max_per_img == 7 and cfg.train_dataloader.batch_size == 64
assert "ssd_hadaptive_l_coco" in BaseInferencer.list_models("mmhadaptive")
torch.save(dict(state_dict=detector.state_dict()), f"{folder}/detector.pth")
inferencer = DetInferencer("ssd_hadaptive_s_coco", f"{folder}/detector.pth", "cpu")
for key, value in detector.state_dict().items():
    assert torch.equal(inferencer.model.state_dict()[key], value), key
assert len(inferencer(image)["predictions"]) == 1
"""


@pytest.fixture
def own_configs(tmp_path):
    """A folder with two configs that inherit from the package's."""
    (tmp_path / "detector.py").write_text(
        "_base_ = 'mmhadaptive::detection/ssd_hadaptive_s_coco.py'\n"
        "model = dict(test_cfg=dict(max_per_img=7))\n"
    )
    (tmp_path / "classifier.py").write_text(
        "_base_ = 'mmhadaptive::classification/cifar100/hadaptive_s_cifar100.py'\n"
        "model = dict(head=dict(num_classes=7))\n"
    )
    return tmp_path


def test_configs_and_models_of_the_wheel_by_name(wheel, own_configs):
    done = subprocess.run(
        [sys.executable, "-c", BY_NAME, own_configs, wheel / "mmhadaptive"],
        cwd=own_configs,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr


def test_configs_of_the_checkout_by_name(own_configs):
    detector = Config.fromfile(own_configs / "detector.py")
    assert detector.model.test_cfg.max_per_img == 7
    assert detector.model.backbone.arch == "s"
    classifier = Config.fromfile(own_configs / "classifier.py")
    assert classifier.model.head.num_classes == 7
    assert classifier.test_dataloader.dataset.type == "CIFAR100Files"


def test_a_network_of_a_library_takes_the_recipe_by_name(tmp_path):
    path = tmp_path / "peer.py"
    path.write_text(
        '_base_ = ["mmpretrain::_base_/models/resnet18.py", "mmhadaptive::_base_/cifar100.py"]\n'
        "model = dict(head=_base_.head)\n"
    )
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model})
    assert type(model.head.loss_module).__name__ == "CrossEntropyLoss"
    assert type(model.data_preprocessor).__name__ == "BatchAugmentPreprocessor"
    assert model.head.fc.out_features == 100


def test_every_config_of_ours_has_its_name_in_the_model_index():
    listed = {m["Name"]: m["Config"] for m in BaseInferencer._get_models_from_metafile(str(ROOT))}
    folders = ("detection", "classification", "replacement", "glue")
    configs = [path for folder in folders for path in ROOT.glob(f"configs/{folder}/**/*.py")]
    assert listed == {path.stem: str(path.relative_to(ROOT)) for path in configs}
    assert set(BaseInferencer.list_models("mmhadaptive")) == set(listed)
