"""csrc/core, csrc/cpu and csrc/cuda know of no framework: a program with the first two alone
computes what the PyTorch operator does."""

import os
import re
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from literal import make_inputs

from mmhadaptive.ops import cross_hadamard
from mmhadaptive.ops.library import DEVICES

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"
# As in the enumeration of csrc/core/cross_hadamard.h.
NORMS = ("none", "softsign", "sigmoid", "algebraic")


@pytest.mark.parametrize("folder", ["core", "cpu", "cuda"])
def test_includes_no_framework(folder):
    """Headers of the folder itself, of core, of CUDA and of the standard library."""
    files = list((CSRC / folder).iterdir())
    assert files
    for file in files:
        for quote, name in re.findall(r'^\s*#\s*include\s*(["<])([^">]+)', file.read_text(), re.M):
            if quote == '"':
                assert (file.parent / name).resolve().parent in (CSRC / folder, CSRC / "core"), file
            else:
                # Not <torch/...>, <ATen/...>, <Python.h>.
                assert re.fullmatch(r"[a-z0-9_]+(\.h)?", name), file


@pytest.fixture(scope="module")
def program(setup_script, tmp_path_factory):
    """The sources of the forward that setup.py compiles into the library, and a main of our own."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp("without_framework")
    sources = [(CSRC / name, flags) for name, flags in setup_script["CPU_SOURCES"]]
    sources = [(path, flags) for path, flags in sources if "backward" not in path.name]
    sources.append((HERE / "without_framework.cpp", [f"-I{CSRC}"]))

    def compiled(number):
        source, flags = sources[number]
        target = folder / f"{source.stem}_{number}.o"
        command = [compiler, *setup_script["CXX_FLAGS"], "-Werror", *flags, "-c", source]
        subprocess.run([*command, "-o", target], check=True)
        return target

    with ThreadPoolExecutor() as pool:
        objects = list(pool.map(compiled, range(len(sources))))
    subprocess.run([compiler, *objects, "-pthread", "-o", folder / "program"], check=True)
    return folder / "program"


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_kernels_share_no_code_between_instruction_sets(program):
    """The linker keeps one of several weak functions, be it one that this machine cannot run."""
    for unit in program.parent.glob("*_kernels*.o"):
        symbols = subprocess.run(["nm", unit], capture_output=True, text=True, check=True).stdout
        assert re.search(r" T .*forward_kernel", symbols)
        assert not re.search(r" [WVu] ", symbols), unit


def run(program, inputs):
    x = inputs.x
    interleaved = not x.is_contiguous()
    batch, channels, height, width = x.shape
    selected = inputs.index.shape[1]
    pairs = selected * (selected - 1) // 2
    header = (batch, channels, height * width, selected, NORMS.index(inputs.norm), interleaved)
    small = (inputs.index, inputs.gate, inputs.alpha, inputs.weight, inputs.bias)
    sizes = (batch * selected, batch * selected, 1, pairs, pairs)
    # A dense tensor in the order of its memory.
    tensors = [*small, x.permute(0, 2, 3, 1) if interleaved else x]
    tensors = [
        torch.full((size,), torch.nan) if t is None else t
        for t, size in zip(tensors, (*sizes, x.numel()), strict=True)
    ]
    call = struct.pack("6q", *header) + b"".join(t.contiguous().numpy().tobytes() for t in tensors)
    done = subprocess.run([program], input=call, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    y = torch.frombuffer(bytearray(done.stdout), dtype=torch.float32)
    if interleaved:
        return y.reshape(batch, height, width, channels + pairs).permute(0, 3, 1, 2)
    return y.reshape(batch, channels + pairs, height, width)


@pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_computes_what_the_operator_computes(program, norm, channels_last):
    inputs = make_inputs(3, 24, 19, 20, 18, norm=norm, channels_last=channels_last)
    expected = cross_hadamard(*inputs.args())
    assert expected.is_contiguous() != channels_last
    assert torch.equal(run(program, inputs), expected)


def test_wrong_index_is_an_exception(program):
    inputs = make_inputs()
    index = inputs.index.clone()
    index[1, 2] = 12
    with pytest.raises(RuntimeError, match=r"^index\[1, 2\] is 12, outside of the 12 channels"):
        run(program, replace(inputs, index=index))
