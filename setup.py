"""Builds the two libraries of the cross-Hadamard operator.

They are written against the LibTorch Stable ABI, so one build serves every torch from
``TORCH_TARGET`` on and every Python, and nothing of torch but its headers and the library to link
with is needed. torch is looked up without being imported: in an isolated build it is not
importable, but it is still in the environment that pip installs into.

Environment variables:
    MMHADAPTIVE_CUDA: ``1`` builds the CUDA library, ``0`` does not, ``auto`` (the default) builds
        it if there is an nvcc.
    TORCH_CUDA_ARCH_LIST: the CUDA architectures, as torch reads it: ``"8.0;9.0+PTX"``.
    CXX, CUDA_HOME, MAX_JOBS: the compiler, the CUDA toolkit and the parallel compilations.
    MMHADAPTIVE_WERROR: ``1`` makes warnings errors, as the variable ``CI`` does where continuous
        integration sets it. They are none otherwise: an unknown compiler may warn of anything.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
TORCH_TARGET = (2, 10)
CUDA_ARCHITECTURES = "7.5;8.0;8.6;8.9;9.0+PTX"
CPU_LIBRARY = "mmhadaptive.ops.libmmhadaptive_cpu"
CUDA_LIBRARY = "mmhadaptive.ops.libmmhadaptive_cuda"

# What the compilation takes on one core of a server, to say what to expect.
SECONDS = {CPU_LIBRARY: 40, CUDA_LIBRARY: 50}

COMMON_FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-g0"]
CXX_FLAGS = [
    *COMMON_FLAGS,
    "-fno-math-errno",
    "-ffp-contract=fast",
    "-Wall",
    "-Wextra",
    # Inside GCC 12's own AVX512 headers.
    "-Wno-maybe-uninitialized",
]
# The kernels are compiled once for each of these, and chosen when the library is loaded.
KERNEL_FLAGS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    KERNEL_FLAGS["avx2"] = ["-mavx2", "-mfma", "-mf16c"]
    KERNEL_FLAGS["avx512"] = [
        *KERNEL_FLAGS["avx2"],
        *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512"),
    ]


def find_torch():
    """The folder of the installed torch and its version, or None."""
    folders = [Path(sysconfig.get_path(name)) / "torch" for name in ("platlib", "purelib")]
    spec = importlib.util.find_spec("torch")
    if spec is not None and spec.submodule_search_locations:
        folders.insert(0, Path(spec.submodule_search_locations[0]))
    for folder in folders:
        if (folder / "version.py").exists():
            text = (folder / "version.py").read_text()
            major, minor = re.search(r"__version__ = ['\"](\d+)\.(\d+)", text).groups()
            return folder, (int(major), int(minor))
    return None


def find_nvcc():
    """The nvcc to build the CUDA library with, or None if it is not to be built."""
    choice = os.environ.get("MMHADAPTIVE_CUDA", "auto")
    if choice not in ("0", "1", "auto"):
        raise ValueError(f"MMHADAPTIVE_CUDA must be 0, 1 or auto, got {choice!r}")
    if choice == "0":
        return None
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home is not None:
        nvcc = shutil.which("nvcc", path=str(Path(home) / "bin"))
    else:
        nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None and choice == "1":
        raise FileNotFoundError("MMHADAPTIVE_CUDA=1, but there is no nvcc; set CUDA_HOME")
    return nvcc


def warnings_are_errors():
    wanted = os.environ.get("MMHADAPTIVE_WERROR") or os.environ.get("CI", "")
    return wanted.lower() not in ("", "0", "false")


def architecture_flags(architectures):
    """nvcc's flags for a TORCH_CUDA_ARCH_LIST such as ``"8.0 9.0+PTX"``."""
    matches = []
    for name in architectures.replace(";", " ").split():
        match = re.fullmatch(r"(\d+)\.(\d+)([af]?)(\+PTX)?", name)
        if match is None:
            raise ValueError(f"TORCH_CUDA_ARCH_LIST: {name!r} is not like '9.0' or '9.0+PTX'")
        matches.append(match)
    # The kernels use nothing that a minor version adds, so the members of one major version share
    # the first half of the compilation.
    lowest = {}
    for major, minor, suffix, _ in (match.groups() for match in matches):
        if not suffix:
            lowest[major] = min(int(minor), lowest.get(major, int(minor)))
    flags = []
    for match in matches:
        number = "".join(match.groups()[:3])
        virtual = number if match[3] else f"{match[1]}{lowest[match[1]]}"
        flags.append(f"-gencode=arch=compute_{virtual},code=sm_{number}")
        if match[4]:
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return flags


class BuildLibraries(build_ext):
    """Compiles with the plain compilers; torch.utils.cpp_extension would need torch imported."""

    def run(self):
        torch = find_torch()
        if torch is None:
            self.skip("torch is not installed in this environment")
        elif torch[1] < TORCH_TARGET:
            self.skip("torch {}.{} is older than {}.{}".format(*torch[1], *TORCH_TARGET))
        elif shutil.which(self.cxx) is None:
            self.skip(f"there is no C++ compiler {self.cxx!r}")
        else:
            self.torch = torch[0]
            self.nvcc = find_nvcc()
            if self.nvcc is None:
                self.extensions = [ext for ext in self.extensions if ext.name != CUDA_LIBRARY]
            super().run()

    def skip(self, reason):
        self.extensions = []
        self.warn(f"cross_hadamard is not compiled, PyTorch code replaces it: {reason}")

    @property
    def cxx(self):
        return os.environ.get("CXX", "g++")

    @property
    def jobs(self):
        return int(os.environ.get("MAX_JOBS") or os.cpu_count())

    @property
    def cxx_flags(self):
        return [*CXX_FLAGS, "-Werror"] if warnings_are_errors() else CXX_FLAGS

    def get_ext_filename(self, fullname):
        # The libraries do not depend on the Python version, so their names carry none.
        return str(Path(*fullname.split("."))) + ".so"

    def torch_flags(self):
        target = "0x{:02x}{:02x}000000000000".format(*TORCH_TARGET)
        return ["-isystem", str(self.torch / "include"), f"-DTORCH_TARGET_VERSION={target}"]

    def build_extension(self, ext):
        folder = Path(self.build_temp).absolute() / ext.name.rpartition(".")[2]
        folder.mkdir(parents=True, exist_ok=True)
        library = Path(self.get_ext_fullpath(ext.name)).absolute()
        library.parent.mkdir(parents=True, exist_ok=True)
        if ext.name == CPU_LIBRARY:
            compilations, link = self.cpu_commands(folder)
        else:
            compilations, link = self.cuda_commands(folder)
        seconds = SECONDS[ext.name] / min(self.jobs, len(compilations))
        print(f"compiling {library.name} on {self.jobs} cores, about {seconds:.0f} s", flush=True)
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self.call, compilations))
        # A build that is stopped here leaves the old library or none, never half of one.
        unfinished = folder / library.name
        self.call([*link, "-o", str(unfinished)])
        staged = library.with_suffix(".so.tmp")
        shutil.copyfile(unfinished, staged)
        os.replace(staged, library)

    def call(self, command):
        subprocess.run(command, check=True)

    def cpu_commands(self, folder):
        csrc = ROOT / "csrc"
        units = [(csrc / "registration.cpp", "registration", self.torch_flags())]
        units.append((csrc / "cpu" / "cross_hadamard.cpp", "cross_hadamard", self.torch_flags()))
        for name, flags in KERNEL_FLAGS.items():
            table = f"-DMMHADAPTIVE_KERNELS=kernels_{name}"
            units.append((csrc / "cpu" / "kernels.cpp", f"kernels_{name}", [*flags, table]))
        objects = [str(folder / f"{name}.o") for _, name, _ in units]
        compilations = [
            [self.cxx, *self.cxx_flags, *flags, "-c", str(source), "-o", output]
            for (source, _, flags), output in zip(units, objects, strict=True)
        ]
        libraries = [f"-L{self.torch / 'lib'}", "-ltorch_cpu"]
        return compilations, [self.cxx, "-shared", "-s", *objects, *libraries]

    def cuda_commands(self, folder):
        csrc = ROOT / "csrc"
        architectures = os.environ.get("TORCH_CUDA_ARCH_LIST") or CUDA_ARCHITECTURES
        warnings = "-Wall,-Wextra"
        nvcc = [self.nvcc, "-std=c++17", "-O3", f"-ccbin={self.cxx}"]
        if warnings_are_errors():
            warnings += ",-Werror"
            nvcc.append("-Werror=all-warnings")
        nvcc.append(f"-Xcompiler=-fPIC,-fvisibility=hidden,{warnings}")
        device = [f"--threads={self.jobs}", *architecture_flags(architectures)]
        host = ["-DUSE_CUDA", *self.torch_flags()]
        units = [(csrc / "cuda" / "backward.cu", [*nvcc, *device])]
        units.append((csrc / "cuda" / "forward.cu", [*nvcc, *device]))
        units.append((csrc / "cuda" / "cross_hadamard.cpp", [*nvcc, *host]))
        registration = [self.cxx, *self.cxx_flags, *self.torch_flags(), "-DMMHADAPTIVE_CUDA"]
        units.append((csrc / "registration.cpp", registration))
        objects = [str(folder / f"{source.stem}.o") for source, _ in units]
        compilations = [
            [*command, "-c", str(source), "-o", output]
            for (source, command), output in zip(units, objects, strict=True)
        ]
        # A CPU build of torch has no libtorch_cuda to link with. The library only has to name it:
        # it is loaded where torch has loaded the real one before.
        stub = folder / "libtorch_cuda.so"
        soname = f"-Wl,-soname,{stub.name}"
        self.call([self.cxx, "-shared", "-x", "c++", os.devnull, soname, "-o", str(stub)])
        libraries = [f"-L{self.torch / 'lib'}", f"-L{folder}", "-Xlinker=--no-as-needed"]
        libraries += ["-ltorch_cpu", "-ltorch_cuda"]
        link = [self.nvcc, f"-ccbin={self.cxx}", "-shared", "-cudart=static", "-Xlinker=-s"]
        return compilations, [*link, *objects, *libraries]


setup(
    ext_modules=[Extension(name, []) for name in (CPU_LIBRARY, CUDA_LIBRARY)],
    cmdclass={"build_ext": BuildLibraries},
)
