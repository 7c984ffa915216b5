"""Builds the libraries of operators: two for PyTorch, for the CPU and for CUDA, and one for ONNX
Runtime.

Those for PyTorch are written against the LibTorch Stable ABI, so one build serves every torch from
``TORCH_TARGET`` on and every Python, and nothing of torch but its headers and the library to link
with is needed. torch is looked up without being imported: in an isolated build it is not
importable, but it is still in the environment that pip installs into.

That for ONNX Runtime needs the headers alone, and loads in the version that they are of and in
newer ones. No wheel has them: they are looked for among the system's, else fetched from Debian into
``build/``.

A wheel is for any machine: where there is an nvcc, it holds the CUDA library too, for all of
``CUDA_ARCHITECTURES``. What is built in place (``pip install -e .``, ``build_ext --inplace``) is
for this machine: the CUDA library is built if the installed torch has CUDA, for the GPUs that
nvidia-smi sees, and for all architectures where it sees none, as in the build of a container.

Environment variables:
    MMHADAPTIVE_CUDA: ``1`` builds the CUDA library for all architectures, or fails without an nvcc;
        ``0`` does not build it; ``auto`` (the default) does as said above.
    MMHADAPTIVE_ONNXRUNTIME: ``1`` builds the library for ONNX Runtime, or fails without headers;
        ``0`` does not build it; ``auto`` (the default) builds it where there are headers.
    ONNXRUNTIME_INCLUDE_DIR: the folder with ONNX Runtime's ``onnxruntime_cxx_api.h``.
    TORCH_CUDA_ARCH_LIST: other CUDA architectures, as torch reads it: ``"8.0;9.0+PTX"``.
    CXX, CUDA_HOME, MAX_JOBS: the compiler, the CUDA toolkit and the parallel compilations.
    MMHADAPTIVE_WERROR: ``1`` makes warnings errors, as the variable ``CI`` does where continuous
        integration sets it. They are none otherwise: an unknown compiler may warn of anything.
"""

import importlib.util
import os
import platform
import re
import shutil
import string
import subprocess
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
TORCH_TARGET = (2, 10)
CUDA_ARCHITECTURES = "7.5;8.0;8.6;8.9;9.0+PTX"

CXX_FLAGS = [
    *("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-g0"),
    "-fno-math-errno",
    "-ffp-contract=fast",
    "-Wall",
    "-Wextra",
    # Inside GCC 12's own AVX512 headers.
    "-Wno-maybe-uninitialized",
]
NVCC_FLAGS = ["-std=c++17", "-O3", "-Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra"]
TORCH_FLAGS = [
    *("-isystem", "{torch}/include"),
    "-DTORCH_TARGET_VERSION=0x{:02x}{:02x}000000000000".format(*TORCH_TARGET),
]
ONNXRUNTIME_FLAGS = ["-isystem", "{onnxruntime}", "-DORT_API_MANUAL_INIT"]
# The headers that are fetched where there are none: MIT, the same for every machine.
ONNXRUNTIME_VERSION = "1.21.0"
ONNXRUNTIME_PACKAGE = "pool/main/o/onnxruntime/libonnxruntime-dev_1.21.0+dfsg-1_amd64.deb"
ONNXRUNTIME_SHA256 = "14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08"
SYSTEM_INCLUDES = ("/usr/local/include", "/usr/include")
APT_HELPER = Path("/usr/lib/apt/apt-helper")
# The CPU kernels are compiled once for each of these, and chosen at run time.
INSTRUCTION_SETS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma", "-mf16c"]
    INSTRUCTION_SETS["avx512"] = [
        *INSTRUCTION_SETS["avx2"],
        *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512"),
    ]


@dataclass(frozen=True)
class Library:
    """How a library is made. In flags, ``{torch}`` stands for the folder of torch,
    ``{onnxruntime}`` for that of ONNX Runtime's headers and ``{stubs}`` for that of the stubs."""

    compiler: str  # "c++" or "nvcc"
    sources: list[tuple[str, list[str]]]  # files of csrc/, and flags for each
    link: list[str]
    seconds: int  # of compilation on one core of a server, to say what to expect
    # Libraries that this machine may not have: the new one only has to name them to the linker,
    # since it is loaded where they have been loaded before.
    stubs: tuple[str, ...] = ()

    def needs(self):
        """The names of the folders without which it is not built."""
        flags = [*self.link, *(flag for _, flags in self.sources for flag in flags)]
        names = {name for flag in flags for _, name, _, _ in string.Formatter().parse(flag)}
        return names - {None, "stubs"}


# The operators on the CPU without a framework.
CPU_SOURCES = [
    *(
        (f"cpu/{operator}_{part}.cpp", flags)
        for operator, parts in (
            ("cross_hadamard", ("plan", "forward", "backward")),
            ("depthwise_convolution", ("plan", "forward", "backward")),
            ("bottleneck", ("forward",)),
        )
        for part, flags in (
            *((part, []) for part in parts),
            *(
                (f"{part}_kernels", [*flags, f"-DMMHADAPTIVE_INSTRUCTION_SET={name}"])
                for part in parts
                if part != "plan"
                for name, flags in INSTRUCTION_SETS.items()
            ),
        )
    ),
    ("cpu/block_chain.cpp", []),
]
FORWARD_SOURCES = [source for source in CPU_SOURCES if "backward" not in source[0]]
LIBRARIES = {
    "mmhadaptive.ops.libmmhadaptive_cpu": Library(
        compiler="c++",
        sources=[
            ("pytorch/cross_hadamard_schema.cpp", TORCH_FLAGS),
            ("pytorch/cross_hadamard_cpu.cpp", TORCH_FLAGS),
            ("pytorch/depthwise_convolution_cpu.cpp", TORCH_FLAGS),
            ("pytorch/fused_blocks_cpu.cpp", TORCH_FLAGS),
            *CPU_SOURCES,
        ],
        link=["-L{torch}/lib", "-ltorch_cpu"],
        seconds=90,
    ),
    "mmhadaptive.ops.libmmhadaptive_cuda": Library(
        compiler="nvcc",
        sources=[
            ("cuda/cross_hadamard_backward.cu", []),
            ("cuda/cross_hadamard_depthwise.cu", []),
            ("cuda/cross_hadamard_forward.cu", []),
            ("pytorch/cross_hadamard_cuda.cpp", [*TORCH_FLAGS, "-DUSE_CUDA"]),
        ],
        link=[
            *("-L{torch}/lib", "-L{stubs}", "-Xlinker=--no-as-needed"),
            *("-ltorch_cpu", "-ltorch_cuda"),
        ],
        seconds=50,
        # A CPU build of torch has none.
        stubs=("torch_cuda",),
    ),
    "mmhadaptive.deploy.libmmhadaptive_onnxruntime": Library(
        compiler="c++",
        sources=[
            ("onnxruntime/register.cpp", ONNXRUNTIME_FLAGS),
            ("onnxruntime/cross_hadamard.cpp", ONNXRUNTIME_FLAGS),
            ("onnxruntime/fused_blocks.cpp", ONNXRUNTIME_FLAGS),
            *FORWARD_SOURCES,
        ],
        link=["-Wl,-z,defs"],
        seconds=10,  # beside the first, with which it shares the rest
    ),
}


def find_torch():
    """The folder of the installed torch, its version and that of its CUDA or None; else None."""
    folders = [Path(sysconfig.get_path(name)) / "torch" for name in ("platlib", "purelib")]
    spec = importlib.util.find_spec("torch")
    if spec is not None and spec.submodule_search_locations:
        folders.insert(0, Path(spec.submodule_search_locations[0]))
    for folder in folders:
        if (folder / "version.py").exists():
            text = (folder / "version.py").read_text()
            major, minor = re.search(r"__version__ = ['\"](\d+)\.(\d+)", text).groups()
            cuda = re.search(r"^cuda\b.*= ['\"](.+)['\"]", text, re.MULTILINE)
            return folder, (int(major), int(minor)), cuda and cuda[1]
    return None


def choice_of(variable):
    choice = os.environ.get(variable, "auto")
    if choice not in ("0", "1", "auto"):
        raise ValueError(f"{variable} must be 0, 1 or auto, got {choice!r}")
    return choice


def find_onnxruntime():
    """The folder with the headers of ONNX Runtime, of those that are here; else None."""
    given = os.environ.get("ONNXRUNTIME_INCLUDE_DIR")
    fetched = ROOT / "build" / f"onnxruntime-{ONNXRUNTIME_VERSION}"
    system = [Path(folder, "onnxruntime") for folder in SYSTEM_INCLUDES]
    for folder in [Path(given)] if given else [*system, fetched]:
        if (folder / "onnxruntime_cxx_api.h").exists():
            return folder.absolute()
    if given:
        raise FileNotFoundError(f"ONNXRUNTIME_INCLUDE_DIR={given} has no onnxruntime_cxx_api.h")
    return None


def fetch_onnxruntime():
    """Fetch the headers by the mirrors that apt knows. Returns whether that worked."""
    dpkg = shutil.which("dpkg-deb")
    if shutil.which("apt-get") is None or dpkg is None or not APT_HELPER.exists():
        return False

    def call(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode else done.stdout

    mirrors = call("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    options = ["APT::Sandbox::User=root", "Acquire::Retries=0", "Acquire::http::Timeout=20"]
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        package, content = Path(scratch, "package.deb"), Path(scratch, "content")
        for mirror in dict.fromkeys((mirrors or "").split()):
            url = f"{mirror.rstrip('/')}/{ONNXRUNTIME_PACKAGE}"
            print(f"fetching the headers of ONNX Runtime {ONNXRUNTIME_VERSION}", flush=True)
            download = [str(APT_HELPER), *(word for option in options for word in ("-o", option))]
            checksum = f"SHA256:{ONNXRUNTIME_SHA256}"
            if call(*download, "download-file", url, str(package), checksum) is None:
                continue
            if call(dpkg, "-x", str(package), str(content)) is None:
                continue
            headers = content / "usr" / "include" / "onnxruntime"
            os.replace(headers, folder / f"onnxruntime-{ONNXRUNTIME_VERSION}")
            return True
    return False


def plan_onnxruntime():
    """The folder with the headers to build the library for ONNX Runtime with, or None not to."""
    choice = choice_of("MMHADAPTIVE_ONNXRUNTIME")
    if choice == "0":
        return None
    if find_onnxruntime() is not None or fetch_onnxruntime():
        return find_onnxruntime()
    missing = "there are no headers of ONNX Runtime; set ONNXRUNTIME_INCLUDE_DIR"
    if choice == "1":
        raise FileNotFoundError(f"MMHADAPTIVE_ONNXRUNTIME=1, but {missing}")
    print(f"no library for ONNX Runtime, as {missing}")
    return None


def find_nvcc():
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home is not None:
        return shutil.which("nvcc", path=str(Path(home) / "bin"))
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def architectures_here(nvcc):
    """Those of this machine's GPUs; None where none is seen, or one that is newer than nvcc."""

    def lines(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return set()
        return set(done.stdout.split())

    here = lines("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    known = lines(nvcc, "--list-gpu-code")
    if not {f"sm_{name.replace('.', '')}" for name in here} <= known:
        return None
    return ";".join(sorted(here))


def plan_cuda(torch_cuda, for_this_machine):
    """The nvcc to build the CUDA library with and its architectures, or None not to build it."""
    choice = choice_of("MMHADAPTIVE_CUDA")
    if choice == "0":
        return None
    nvcc = find_nvcc()
    if nvcc is None:
        if choice == "1":
            raise FileNotFoundError("MMHADAPTIVE_CUDA=1, but there is no nvcc; set CUDA_HOME")
        return None
    here = for_this_machine and choice == "auto"
    if here and torch_cuda is None:
        print("no CUDA library, as the installed torch is a CPU build (see MMHADAPTIVE_CUDA)")
        return None
    chosen = os.environ.get("TORCH_CUDA_ARCH_LIST")
    return nvcc, chosen or (here and architectures_here(nvcc)) or CUDA_ARCHITECTURES


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
        # What an earlier build has left there, and this one may not build, would go into the wheel.
        for name in LIBRARIES:
            Path(self.build_lib, self.get_ext_filename(name)).unlink(missing_ok=True)
        self.objects = {}
        self.folders, self.compilers = {}, {}
        if shutil.which(self.cxx) is None:
            self.without_operators(f"there is no C++ compiler {self.cxx!r}")
        else:
            self.compilers["c++"] = self.cxx
            self.look_for_torch()
            self.folders["onnxruntime"] = plan_onnxruntime()
        self.extensions = [ext for ext in self.extensions if self.can_build(LIBRARIES[ext.name])]
        super().run()

    def look_for_torch(self):
        torch = find_torch()
        if torch is None:
            self.without_operators("torch is not installed in this environment")
        elif torch[1] < TORCH_TARGET:
            versions = (*torch[1], *TORCH_TARGET)
            self.without_operators("torch {}.{} is older than {}.{}".format(*versions))
        else:
            self.folders["torch"] = torch[0]
            plan = plan_cuda(torch[2], for_this_machine=self.inplace or self.editable_mode)
            self.compilers["nvcc"], self.architectures = plan or (None, None)

    def without_operators(self, reason):
        self.warn(f"the operators are not compiled, PyTorch code replaces them: {reason}")

    def can_build(self, library):
        found = all(self.folders.get(name) for name in library.needs())
        return found and self.compilers.get(library.compiler) is not None

    @property
    def cxx(self):
        return os.environ.get("CXX", "g++")

    @property
    def jobs(self):
        return int(os.environ.get("MAX_JOBS") or os.cpu_count())

    def get_ext_filename(self, fullname):
        # The libraries do not depend on the Python version, so their names carry none.
        return str(Path(*fullname.split("."))) + ".so"

    def commands(self, compiler):
        """The beginnings of the commands that compile and that link."""
        program, strict = self.compilers[compiler], warnings_are_errors()
        if compiler == "nvcc":
            program = [program, f"-ccbin={self.cxx}"]
            targets = architecture_flags(self.architectures)
            flags = [*NVCC_FLAGS, f"--threads={self.jobs}", *targets]
            errors = ["-Werror=all-warnings", "-Xcompiler=-Werror"]
            link = ["-shared", "-cudart=static", "-Xlinker=-s"]
        else:
            program = [program]
            flags, errors, link = CXX_FLAGS, ["-Werror"], ["-shared", "-s"]
        return [*program, *flags, *(errors if strict else [])], [*program, *link]

    def build_extension(self, ext):
        library = LIBRARIES[ext.name]
        target = Path(self.get_ext_fullpath(ext.name)).absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(self.build_temp).absolute() / target.stem
        stubs = folder / "stubs"
        stubs.mkdir(parents=True, exist_ok=True)

        def filled(flags):
            return [flag.format(**self.folders, stubs=stubs) for flag in flags]

        compiling, linking = self.commands(library.compiler)
        compilations, objects = [], []
        for source, flags in library.sources:
            command = (*compiling, *filled(flags), "-c", str(ROOT / "csrc" / source))
            if command not in self.objects:
                # Libraries share objects.
                number = len(self.objects)
                self.objects[command] = str(folder / f"{number}_{Path(source).stem}.o")
                compilations.append([*command, "-o", self.objects[command]])
            objects.append(self.objects[command])
        seconds = library.seconds / min(self.jobs, len(compilations))
        print(f"compiling {target.name} on {self.jobs} cores, about {seconds:.0f} s", flush=True)
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self.call, compilations))
        for name in library.stubs:
            stub = stubs / f"lib{name}.so"
            soname = f"-Wl,-soname,{stub.name}"
            self.call([self.cxx, "-shared", "-x", "c++", os.devnull, soname, "-o", str(stub)])
        # A build that is stopped here leaves the old library or none, never half of one.
        unfinished = folder / target.name
        self.call([*linking, *objects, *filled(library.link), "-o", str(unfinished)])
        staged = target.with_suffix(".so.tmp")
        shutil.copyfile(unfinished, staged)
        os.replace(staged, target)

    def call(self, command):
        subprocess.run(command, check=True)


class Wheel(bdist_wheel):
    def get_tag(self):
        """No library depends on a Python, and without a library there is nothing of a machine."""
        platform_tag = super().get_tag()[2]
        built = self.get_finalized_command("build_ext").extensions
        return "py3", "none", platform_tag if built else "any"


setup(
    ext_modules=[Extension(name, []) for name in LIBRARIES],
    cmdclass={"build_ext": BuildLibraries, "bdist_wheel": Wheel},
)
