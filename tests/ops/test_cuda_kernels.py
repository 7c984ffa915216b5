"""The CUDA kernels, run thread by thread on the CPU: every index, tile and reduction without a GPU.
What this cannot show, races and speed, is left to tools/dev/check_gpu.sh."""

import ctypes
import itertools
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from literal import assert_matches, literal, make_inputs, results
from test_cross_hadamard_depthwise import assert_matches as assert_depthwise
from test_cross_hadamard_depthwise import make_inputs as make_depthwise

from mmhadaptive.ops.arguments import STRATEGIES
from mmhadaptive.ops.cross_hadamard_depthwise import ACTIVATIONS

HERE = Path(__file__).parent
# As in the enumeration of csrc/core/cross_hadamard.h.
NORMS = ("none", "softsign", "sigmoid", "algebraic")
DTYPES = (torch.float32, torch.bfloat16)
GUARD = 64

pytestmark = pytest.mark.skipif(
    shutil.which("nvcc") is None or shutil.which("g++") is None,
    reason="needs the headers of the CUDA toolkit and g++",
)


class Arguments(ctypes.Structure):
    _fields_ = (
        [
            (name, ctypes.c_int64)
            for name in (
                *("batch", "channels", "pixels", "selected"),
                *("interleaved", "norm", "multiprocessors"),
                *("x_batch_stride", "x_row_stride", "dy_batch_stride", "dy_row_stride"),
                *("tiles_per_block", "most_blocks"),
            )
        ]
        + [(name, ctypes.c_void_p) for name in ("index", "gate", "alpha", "weight", "bias")]
        + [("strategy", ctypes.c_char_p)]
    )  # fmt: skip


class DepthwiseArguments(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("batch", "channels", "height", "width", "selected"),
            *("kernel", "stride", "padding", "interleaved", "norm", "activation"),
        )
    ] + [
        (name, ctypes.c_void_p)
        for name in ("index", "alpha", "norm_weight", "norm_bias", "weight", "bias")
    ]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    source = tmp_path_factory.mktemp("empty") / "empty.cu"
    source.touch()
    dry_run = subprocess.run(
        ["nvcc", "--dryrun", "-c", source], capture_output=True, text=True, check=True
    )
    include = re.search(r'INCLUDES="-I([^"]+)"', dry_run.stderr)[1]
    library = tmp_path_factory.mktemp("emulation") / "kernels.so"
    flags = ("-std=c++17", "-O1", "-fPIC", "-shared", "-Wno-unknown-pragmas", "-isystem", include)
    driver = HERE / "cuda_emulation" / "driver.cpp"
    subprocess.run(["g++", *flags, driver, "-o", library], check=True)
    return ctypes.CDLL(str(library))


def guarded(shape, dtype, memory_format):
    """A tensor of NaNs, aligned to 16 bytes, between two guards."""
    numel = torch.Size(shape).numel()
    memory = torch.full((numel + 2 * GUARD,), torch.nan, dtype=dtype)
    memory[:GUARD] = memory[GUARD + numel :] = 7
    strides = torch.empty(shape).contiguous(memory_format=memory_format).stride()
    return memory, memory.as_strided(shape, strides, GUARD)


def check_guards(memory):
    assert memory[:GUARD].eq(7).all()
    assert memory[-GUARD:].eq(7).all()


def emulate(
    kernels,
    inputs,
    dy,
    strategy="tiled",
    multiprocessors=2,
    tiles_per_block=3,
    most_blocks=2**31,
):
    """The output and all gradients, by name."""
    x = inputs.x.detach()
    interleaved = not x.is_contiguous() and x.stride(1) == 1
    format_ = torch.channels_last if interleaved else torch.contiguous_format
    batch, channels, height, width = x.shape
    selected = inputs.index.shape[1]
    row = 3 if interleaved else 1
    small = [inputs.index, inputs.gate, inputs.alpha, inputs.weight, inputs.bias]
    small = [None if t is None else t.detach().contiguous() for t in small]
    arguments = Arguments(
        *(batch, channels, height * width, selected),
        *(interleaved, NORMS.index(inputs.norm), multiprocessors),
        *(x.stride(0), x.stride(row), dy.stride(0), dy.stride(row)),
        *(tiles_per_block, most_blocks),
        *(None if t is None else t.data_ptr() for t in small),
        strategy.encode(),
    )
    name = {torch.float32: "float", torch.bfloat16: "bfloat16"}[x.dtype]
    y_memory, y = guarded(
        (batch, channels + selected * (selected - 1) // 2, height, width), x.dtype, format_
    )
    dx_memory, dx = guarded(x.shape, x.dtype, format_)
    grads = [None if t is None else torch.full_like(t, torch.nan) for t in small[1:]]

    def pointer(t):
        return ctypes.c_void_p(None if t is None else t.data_ptr())

    getattr(kernels, f"forward_{name}")(ctypes.byref(arguments), pointer(x), pointer(y))
    getattr(kernels, f"backward_{name}")(
        ctypes.byref(arguments), pointer(x), pointer(dy), pointer(dx), *map(pointer, grads)
    )
    check_guards(y_memory)
    check_guards(dx_memory)
    named = zip(("gate", "alpha", "weight", "bias"), grads, strict=True)
    return {"y": y, "x": dx, **{name: grad for name, grad in named if grad is not None}}


def check(kernels, inputs, **kwargs):
    expected = results(literal, inputs)
    generator = torch.Generator().manual_seed(1)
    dy = torch.randn(expected["y"].shape, generator=generator, dtype=torch.float64)
    dy = dy.to(inputs.x.dtype)
    if inputs.x.is_contiguous(memory_format=torch.channels_last):
        dy = dy.contiguous(memory_format=torch.channels_last)
    assert_matches(emulate(kernels, inputs, dy, **kwargs), expected, inputs.x.dtype)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("strategy", "norm"),
    [
        *itertools.product(STRATEGIES, ("softsign", "none")),
        ("tiled", "sigmoid"),
        ("tiled", "algebraic"),
    ],
)
def test_matches_literal_form(kernels, strategy, norm, dtype, channels_last):
    inputs = make_inputs(norm=norm, dtype=dtype, channels_last=channels_last)
    check(kernels, inputs, strategy=strategy)


# By strategy and number of blocks, the pairs whose products are there: a block a product, and the
# blocks of Algorithm 2.
@pytest.mark.parametrize(
    ("strategy", "blocks", "pairs"),
    [
        ("direct", 1, {(0, 1)}),
        ("direct", 4, {(0, 1), (0, 2), (0, 3), (0, 4)}),
        ("parity", 1, {(0, 1), (0, 3)}),
        ("parity", 3, {(0, 1), (0, 3), (1, 2), (1, 4), (0, 2), (2, 3)}),
    ],
)
def test_what_the_first_blocks_compute(kernels, strategy, blocks, pairs):
    inputs = make_inputs(1, 5, 3, 3, 5)
    dy = torch.zeros(1, 15, 3, 3)
    y = emulate(kernels, inputs, dy, strategy=strategy, most_blocks=blocks)["y"]
    written = y[0].isfinite().flatten(1)
    assert written[:5].all()
    every = itertools.combinations(range(5), 2)
    assert {
        pair for pair, product in zip(every, written[5:], strict=True) if product.all()
    } == pairs
    assert written[5:].any(1).sum() == len(pairs)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    selected=st.integers(2, 12),
    unselected=st.integers(0, 9),
    dtype=st.sampled_from(DTYPES),
    channels_last=st.booleans(),
    strategy=st.sampled_from(STRATEGIES),
    multiprocessors=st.sampled_from([1, 8, 132]),
    tiles_per_block=st.integers(1, 5),
)
def test_any_shape(
    kernels, selected, unselected, strategy, multiprocessors, tiles_per_block, **kwargs
):
    check(
        kernels,
        make_inputs(selected=selected, channels=selected + unselected, **kwargs),
        strategy=strategy,
        multiprocessors=multiprocessors,
        tiles_per_block=tiles_per_block,
    )


# Whole images, images cut into tiles, and images that no vector of 16 bytes divides.
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "selected"), [((7, 7), 36), ((20, 20), 32), ((19, 23), 26)])
def test_layer_shapes(kernels, size, selected, dtype, channels_last):
    inputs = make_inputs(1, 40, *size, selected, dtype=dtype, channels_last=channels_last)
    check(kernels, inputs, multiprocessors=132)


def test_many_selected(kernels):
    check(kernels, make_inputs(1, 64, 1, 3, 64), multiprocessors=4)


def test_slices_are_read_in_place(kernels):
    inputs = make_inputs(2, 12, 4, 5, 6)
    whole = torch.full((4, 30, 4, 5), torch.nan)
    whole[::2, 9:21] = inputs.x
    check(kernels, replace(inputs, x=whole[::2, 9:21]))


def emulate_depthwise(kernels, inputs):
    x = inputs.x
    interleaved = not x.is_contiguous()
    form = torch.channels_last if interleaved else torch.contiguous_format
    small = (inputs.index, inputs.alpha, inputs.norm_weight, inputs.norm_bias)
    small = (*small, inputs.weight, inputs.bias)
    kernel = inputs.weight.shape[-1]
    arguments = DepthwiseArguments(
        *(*x.shape, inputs.index.shape[1], kernel, inputs.stride, inputs.padding),
        *(interleaved, NORMS.index(inputs.norm), list(ACTIVATIONS).index(inputs.activation)),
        *(t.data_ptr() for t in small),
    )
    sizes = ((size + 2 * inputs.padding - kernel) // inputs.stride + 1 for size in x.shape[2:])
    memory, y = guarded((len(x), len(inputs.weight), *sizes), x.dtype, form)
    name = {torch.float32: "float", torch.bfloat16: "bfloat16"}[x.dtype]
    getattr(kernels, f"depthwise_{name}")(
        ctypes.byref(arguments), ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(y.data_ptr())
    )
    check_guards(memory)
    return y


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_depthwise_step(kernels, activation, norm, channels_last):
    inputs = make_depthwise(norm=norm, activation=activation, channels_last=channels_last)
    assert_depthwise(emulate_depthwise(kernels, inputs), inputs)


# More channels than a block has, maps of several tiles, more images than the grid.
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("batch", "channels", "size", "selected", "kernel"),
    [(5, 33, (7, 7), 6, 7), (1, 7, (19, 35), 5, 5), (2, 5, (40, 3), 2, 3), (1, 3, (1, 1), 3, 1)],
)
def test_depthwise_sizes(
    kernels, batch, channels, size, selected, kernel, stride, dtype, channels_last
):
    inputs = make_depthwise(
        batch, channels, *size, selected, kernel, stride, dtype=dtype, channels_last=channels_last
    )
    assert_depthwise(emulate_depthwise(kernels, inputs), inputs)
