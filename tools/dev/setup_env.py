"""Create ``.venv`` with pinned versions and the compiled operators (called by ``make``).

Two packages need more than ``pip install``:

* mmcv has no wheel with C++ operators for this Python and torch, and pip builds one without them.
  mmhadaptive gives it those that its own detectors need (``python -m mmhadaptive.mmcv_ops``); with
  ``--mmcv-operators`` all of them are built from mmcv's source distribution.
* torchvision is published for CUDA builds of torch only. Beside a CPU build of torch its import
  fails, so the wheel is repacked without its binary operators (none is used here).

Wheels that are made here are kept in a user cache (``$MMHADAPTIVE_CACHE``, by default
``~/.cache/mmhadaptive``), keyed by package, torch, Python and platform.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import venv
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"
CACHE = Path(
    os.environ.get("MMHADAPTIVE_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmhadaptive"
)
HEARTBEAT_SECONDS = 10

# pip resolves their dependencies under the constraints file.
PACKAGES = (
    "torch",
    "setuptools",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmdetection",
    "onedl-mmpretrain",
    "scikit-learn",
    "faster-coco-eval",
    "hotcoco",
    "timm",
    "transformers",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "grad-cam",
    "sphinx",
    "myst-parser",
    "furo",
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "ruff",
)
MMCV_BUILD_TOOLS = ("wheel", "ninja", "packaging")

TORCHVISION_SCHEMAS = """

# Schemas of the operators that this wheel was repacked without (mmhadaptive's setup_env.py):
# torchvision registers fake kernels for them at import.
if not _has_ops():
    _schemas = torch.library.Library("torchvision", "FRAGMENT")
    for _schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        _schemas.define(_schema)
"""

# Prints torch's version, its CUDA's, and what does not import. The stand-in for mmcv._ext, which
# mmhadaptive provides, has no library.
PROBE = """
import torch
print(torch.__version__, torch.version.cuda)
for name in ("cv2", "torchvision", "mmcv._ext"):
    try:
        module = __import__(name, fromlist=["_"])
        assert name != "mmcv._ext" or module.__file__.endswith(".so")
    except Exception:
        print(name)
"""

IMPORTS = "import mmcv.ops, mmdet.apis, mmdet.models, mmpretrain.models"

PURE_WHEEL = """Wheel-Version: 1.0
Generator: mmhadaptive
Root-Is-Purelib: true
Tag: py3-none-any
"""


class SetupError(RuntimeError):
    """A step of the set-up failed; the message names the step and its log."""


def pinned(package: str) -> str:
    """The version of ``package`` in the constraints file."""
    for line in CONSTRAINTS.read_text().splitlines():
        name, _, version = line.partition("==")
        if name.strip().lower() == package:
            return version.strip()
    raise SetupError(f"{CONSTRAINTS} does not pin {package}")


def start(command: list[str], **env: str) -> subprocess.Popen:
    """Start a command for :func:`follow`."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **env},
    )


def follow(title: str, process: subprocess.Popen, log_dir: Path) -> None:
    """Wait for a command, with its output in a log file and a line of progress on the terminal.

    Raises:
        SetupError: The command failed; the last lines of the log are shown.
    """
    log_path = log_dir / (re.sub(r"\W+", "-", title.lower()).strip("-") + ".log")
    start = time.monotonic()
    last_line, progress, finished = "", "", threading.Event()
    interactive = sys.stdout.isatty()
    print(f"-- {title}", flush=True)

    def show() -> None:
        while not finished.wait(1 if interactive else HEARTBEAT_SECONDS):
            text = f"   {time.monotonic() - start:4.0f} s  {progress} {last_line}"[:100]
            print(f"\r\033[K{text}" if interactive else text, end="" if interactive else "\n")
            sys.stdout.flush()

    reporter = threading.Thread(target=show, daemon=True)
    reporter.start()
    with open(log_path, "w") as log:
        for line in process.stdout:
            log.write(line)
            step = re.match(r"\s*\[(\d+/\d+)\]", line)
            if step:
                progress = f"[{step[1]} compiled]"
            elif line.strip() and not progress:
                last_line = line.strip()
        code = process.wait()
    finished.set()
    reporter.join()
    if interactive:
        print("\r\033[K", end="")
    if code:
        tail = "\n".join(log_path.read_text().splitlines()[-25:])
        raise SetupError(f"{title}: failed with exit status {code}.\n{tail}\nWhole log: {log_path}")
    print(f"   {time.monotonic() - start:4.0f} s  done", flush=True)


class Environment:
    """The virtual environment at ``path`` and what is installed into it."""

    def __init__(self, path: Path, log_dir: Path) -> None:
        self.path = path
        self.log_dir = log_dir
        self.python = str(path / "bin" / "python")

    def create(self) -> None:
        """Create the environment, or keep a usable one that is already there."""
        if Path(self.python).exists():
            return
        print(f"-- Creating {self.path} with Python {platform.python_version()}", flush=True)
        try:
            venv.create(self.path, with_pip=True)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(self.path, ignore_errors=True)
            raise SetupError(
                "Python's venv module could not install pip; on Debian and Ubuntu, "
                f"install the package python3-venv.\n{error}"
            ) from error
        # That of Python 3.11 takes twice as long.
        self.install("Replacing pip", "pip")

    def pip(self, title: str, *arguments: str, **env: str) -> None:
        """Run ``pip`` under the constraints file."""
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *arguments]
        process = start(command, PIP_CONSTRAINT=str(CONSTRAINTS), **env)
        follow(title, process, self.log_dir)

    def install(self, title: str, *arguments: str) -> None:
        """Install packages; Python compiles their modules when it first imports them."""
        self.pip(title, "install", "--no-compile", *arguments)

    def ask(self, code: str) -> str:
        """The output of some Python in the environment."""
        result = subprocess.run([self.python, "-c", code], capture_output=True, text=True)
        if result.returncode:
            raise SetupError(f"Python failed in {self.path}.\n{result.stderr}")
        return result.stdout.strip()


def cached_wheel(package: str, torch_version: str, build) -> Path:
    """The cached wheel of ``package``; ``build(folder)`` makes it in ``folder`` where missing."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    system = f"{platform.system().lower()}-{platform.machine()}"
    key = f"{package}-{pinned(package)}-torch{torch_version}-{python}-{system}"
    folder = CACHE / "wheels" / key
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            built = Path(scratch) / "wheel"
            built.mkdir()
            build(built)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(built, folder)
        wheels = list(folder.glob("*.whl"))
    return wheels[0]


def merge_sources(source: Path) -> None:
    """Compile mmcv's operator interfaces as one unit: their cost is torch's headers, 90 times.

    The CPU kernels in ``pytorch/cpu`` stay separate, because they define the same names.
    """
    folder = source / "mmcv" / "ops" / "csrc" / "pytorch"
    included = []
    for path in sorted(folder.glob("*.cpp")):
        path.rename(path.with_suffix(".inc"))
        included.append(f'#include "{path.stem}.inc"\n')
    (folder / "all_interfaces.cpp").write_text("".join(included))


def build_mmcv(environment: Environment, folder: Path) -> None:
    """Build the mmcv wheel with its C++ operators into ``folder``."""
    cores = len(os.sched_getaffinity(0))
    environment.install("Installing build tools", *MMCV_BUILD_TOOLS)
    with tempfile.TemporaryDirectory() as scratch:
        environment.pip(
            "Fetching the sources of onedl-mmcv",
            *("download", "--no-deps", "--no-build-isolation", "--no-binary", "onedl-mmcv"),
            *("-d", scratch, "onedl-mmcv"),
        )
        (archive,) = Path(scratch).glob("onedl_mmcv-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        source = archive.with_name(archive.name.removesuffix(".tar.gz"))
        merge_sources(source)
        environment.pip(
            f"Building the operators of onedl-mmcv (about 2 minutes on 2 cores; here {cores})",
            *("wheel", "-v", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)),
            MAX_JOBS=str(cores),
            CFLAGS="-g0",
        )


def repack_torchvision(environment: Environment, folder: Path) -> None:
    """Fetch torchvision's wheel and write it to ``folder`` without binary operators."""
    with tempfile.TemporaryDirectory() as scratch:
        environment.pip(
            "Fetching torchvision", "download", "--no-deps", "-d", scratch, "torchvision"
        )
        (original,) = Path(scratch).glob("torchvision-*.whl")
        version = pinned("torchvision")
        local = f"{version}+noops"
        target = folder / f"torchvision-{local}-py3-none-any.whl"
        info, new_info = f"torchvision-{version}.dist-info", f"torchvision-{local}.dist-info"
        record = []
        with (
            zipfile.ZipFile(original) as source,
            zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as wheel,
        ):
            for name in source.namelist():
                if ".so" in Path(name).suffixes or name.startswith("torchvision.libs/"):
                    continue
                if name.endswith("/RECORD"):
                    continue
                data = source.read(name)
                if name == "torchvision/extension.py":
                    data += TORCHVISION_SCHEMAS.encode()
                elif name == f"{info}/METADATA":
                    data = data.replace(
                        f"\nVersion: {version}\n".encode(), f"\nVersion: {local}\n".encode()
                    )
                elif name == f"{info}/WHEEL":
                    data = PURE_WHEEL.encode()
                name = name.replace(info, new_info)
                wheel.writestr(name, data)
                digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                record.append(f"{name},sha256={digest},{len(data)}\n")
            record.append(f"{new_info}/RECORD,,\n")
            wheel.writestr(f"{new_info}/RECORD", "".join(record))


def replace_torchvision(environment: Environment, torch_version: str) -> None:
    """Install a torchvision without binary operators."""
    wheel = cached_wheel(
        "torchvision", torch_version, lambda folder: repack_torchvision(environment, folder)
    )
    environment.install(
        "Replacing torchvision by one without binary operators",
        *("--force-reinstall", "--no-deps", str(wheel)),
    )


def replace_mmcv(environment: Environment, torch_version: str) -> None:
    """Install an mmcv with compiled operators."""
    wheel = cached_wheel(
        "onedl-mmcv", torch_version, lambda folder: build_mmcv(environment, folder)
    )
    environment.install(
        "Replacing onedl-mmcv by one with operators",
        *("--force-reinstall", "--no-deps", str(wheel)),
    )


def install(environment: Environment, mmcv_operators: bool) -> None:
    """Bring ``environment`` to the state that the constraints file describes."""
    environment.create()
    environment.install("Installing torch and the OpenMMLab packages (1 minute)", *PACKAGES)
    torch_version, cuda, *broken = environment.ask(PROBE).split()
    if "cv2" in broken:
        # The two distributions of OpenCV that mmcv and imaug ask for share their files; only
        # the headless one works where no graphics libraries are installed.
        environment.install(
            "Replacing OpenCV by its headless build",
            *("--force-reinstall", "--no-deps", "opencv-python-headless"),
        )
    if "torchvision" in broken and cuda == "None":
        replace_torchvision(environment, torch_version)
    if mmcv_operators and "mmcv._ext" in broken:
        replace_mmcv(environment, torch_version)
    # Both run from the checkout; Python compiles its modules while the compilers are at csrc/.
    give_operators = start(
        [environment.python, "-m", "mmhadaptive.mmcv_ops", "install"], PYTHONPATH=str(ROOT)
    )
    follow("Giving mmcv its operators", give_operators, environment.log_dir)
    imports = start([environment.python, "-c", IMPORTS], PYTHONPATH=str(ROOT))
    environment.install(
        "Building csrc/ and installing mmhadaptive (1 minute)",
        *("-v", "--no-deps", "--no-build-isolation", "-e", str(ROOT)),
    )
    follow("Importing everything once", imports, environment.log_dir)
    environment.ask("import mmhadaptive.ops")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--path", type=Path, default=ROOT / ".venv", help="default: %(default)s")
    parser.add_argument(
        "--mmcv-operators",
        action="store_true",
        help="build all operators of mmcv, also those that mmhadaptive does not need",
    )
    args = parser.parse_args()
    path = args.path.resolve()
    start = time.monotonic()
    log_dir = CACHE / "logs" / time.strftime("%Y%m%d-%H%M%S")
    log_dir.mkdir(parents=True, exist_ok=True)
    try:
        install(Environment(path, log_dir), args.mmcv_operators)
    except SetupError as error:
        sys.exit(f"\nSet-up stopped. {error}")
    size = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
    print(f"-- {path} is ready: {time.monotonic() - start:.0f} s, {size / 1e9:.1f} GB", flush=True)


if __name__ == "__main__":
    main()
