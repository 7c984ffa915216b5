"""Chains of fused blocks against their literal form in float64."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_blocks import Random, literal_blocks

from mmhadaptive.ops import fused_blocks, fused_blocks_reference
from mmhadaptive.ops.fused_blocks import (
    ACTIVATIONS,
    NAME,
    NORMS,
    SCHEMA,
    SELECTIONS,
    SPEC_NUMBERS,
    block_reference,
    pack_blocks,
    unpack_blocks,
)
from mmhadaptive.ops.library import DEVICES

needs_library = pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")
TOLERANCE = 5e-6


def assert_close(y, expected):
    assert y.shape == expected.shape
    error = (y.double() - expected).norm() / expected.norm().clamp_min(1e-3)
    assert error <= TOLERANCE, f"{error:.2e}"


def check(x, *blocks):
    packed, spec = pack_blocks(blocks)
    expected = literal_blocks(x, blocks)
    for function in (fused_blocks, fused_blocks_reference):
        assert_close(function(x, packed, spec), expected)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_cross_hadamard(selection, norm, channels_last):
    random = Random()
    block = random.bottleneck("ach", 24, selected=9, selection=selection, norm=norm)
    check(random.image(3, 24, 7, 10, channels_last), block)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("kind", ["ach", "ghost", "pointwise"])
def test_every_kernel(kind, kernel, stride):
    random = Random()
    more = dict(selected=6) if kind == "ach" else dict(width=20)
    block = random.bottleneck(kind, 12, 18, kernel=kernel, stride=stride, **more)
    for size in ((9, 8), (kernel, kernel + 1)):
        check(random.image(2, 12, *size), block)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["ach", "ghost", "pointwise", "none"])
def test_every_activation(kind, activation):
    random = Random()
    more = dict(selected=5) if kind == "ach" else {}
    block = random.bottleneck(
        kind, 10, kernel=3, activation=activation, pointwise=kind != "none", **more
    )
    check(random.image(2, 10, 6, 5), block)


# Layers of the networks, a map that is wider than what is staged, one that is cut into bands, and
# many images.
@pytest.mark.parametrize(
    ("batch", "channels", "selected", "kernel", "size"),
    [
        (1, 96, 16, 5, (14, 14)),
        (1, 128, 32, 7, (7, 7)),
        (1, 192, 36, 7, (3, 4)),
        (2, 20, 20, 5, (5, 150)),
        (1, 12, 8, 7, (170, 40)),
        (70, 40, 12, 3, (28, 28)),
        (1, 64, 64, 3, (2, 3)),
        (2, 9, 2, 3, (1, 1)),
    ],
)
def test_sizes(batch, channels, selected, kernel, size):
    random = Random()
    block = random.bottleneck("ach", channels, kernel=kernel, selected=selected)
    check(random.image(batch, channels, *size, channels_last=True), block)


# Maps that are cut into bands, whose neighbours Ghost's cheap half reads.
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (2, 2), (5, 2)])
def test_ghost_in_bands(kernel, stride):
    random = Random()
    block = random.bottleneck("ghost", 12, 20, 18, kernel, stride)
    check(random.image(2, 12, 61, 40), block)


@given(
    kind=st.sampled_from(["ach", "ghost", "pointwise", "none"]),
    batch=st.integers(1, 3),
    channels=st.integers(2, 40),
    out_channels=st.integers(1, 70),
    width=st.integers(2, 40),
    height=st.integers(1, 20),
    columns=st.integers(1, 20),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 2),
    selected=st.integers(2, 20),
    channels_last=st.booleans(),
    seed=st.integers(0, 100),
)
@settings(max_examples=80, deadline=None)
def test_any_bottleneck(
    kind, batch, channels, out_channels, width, height, columns, kernel, stride, selected,
    channels_last, seed,
):  # fmt: skip
    random = Random(seed)
    more = dict(width=width, kernel=kernel, stride=stride, pointwise=kind != "none")
    if kind == "ach":
        more |= dict(selected=min(selected, width))
    block = random.bottleneck(kind, channels, out_channels, **more)
    least = kernel - 2 * block.padding
    size = max(height, least), max(columns, least)
    check(random.image(batch, channels, *size, channels_last), block)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_convolutions_of_patches(kernel, planar, channels_last):
    random = Random()
    blocks = (
        random.convolution(3, 36, kernel, "hardswish", planar),
        random.convolution(36, 100, 2),
        random.convolution(100, 7, 1, "relu"),
    )
    check(random.image(2, 3, 6 * kernel + 1, 8 * kernel, channels_last), *blocks)


def test_a_network():
    random = Random()
    blocks = (
        random.convolution(3, 20, 2, None, planar=True),
        random.bottleneck("ghost", 20, 24, 40, kernel=2, stride=2),
        random.bottleneck("ach", 24, selected=8, norm="sigmoid"),
        random.bottleneck("ach", 24, selected=7, selection="static", pointwise=False),
        random.bottleneck("pointwise", 24, 30, 50, kernel=3, stride=2, activation="relu"),
        random.convolution(30, 64, 1, "hardswish"),
    )
    check(random.image(3, 3, 37, 50), *blocks)


def test_packing_keeps_every_number():
    random = Random()
    blocks = [
        random.convolution(3, 20, 2, "relu", planar=True),
        random.convolution(20, 33, 2),
        random.bottleneck("ach", 33, 12, selected=7, norm="algebraic", selection="static"),
        random.bottleneck("ghost", 12, 20, 18, kernel=3, stride=2),
        random.bottleneck("none", 20, pointwise=False, activation=None),
    ]
    packed, spec = pack_blocks(blocks)
    assert len(spec) == len(blocks) * SPEC_NUMBERS
    again, numbers = pack_blocks(unpack_blocks(packed, spec))
    assert torch.equal(again, packed)
    assert numbers == spec
    x = random.image(1, 3, 19, 18)
    for block, other in zip(blocks, unpack_blocks(packed, spec), strict=True):
        y = block_reference(x, block)
        torch.testing.assert_close(block_reference(x, other), y)
        x = y


def test_equal_scores_select_the_first_channels():
    random = Random()
    block = random.bottleneck("ach", 8, kernel=3, selected=4, selection="static")
    block.expansion.scores.copy_(torch.tensor([0.0, 1, 1, 0, 2, 0, 0, 0]))
    packed, spec = pack_blocks([block])
    x = random.image(1, 8, 4, 4)
    y = fused_blocks(x, packed, spec)
    block.expansion.scores.copy_(torch.tensor([0.0, 3, 2, -1, 4, -1, -1, -1]))
    assert_close(y, literal_blocks(x, [block]))


def test_a_not_a_number_stays_one():
    random = Random()
    for kind, more in (("ach", dict(selected=3)), ("ghost", {})):
        packed, spec = pack_blocks([random.bottleneck(kind, 5, kernel=3, **more)])
        x = random.image(1, 5, 4, 4)
        x[0, 2, 1, 1] = torch.nan
        assert fused_blocks(x, packed, spec)[0, :, 1, 1].isnan().all()


@pytest.mark.parametrize("batch", [0, 5])
def test_output_is_channels_last(batch):
    random = Random()
    packed, spec = pack_blocks([random.bottleneck("ach", 20, 24, selected=4)])
    y = fused_blocks(random.image(batch, 20, 6, 7), packed, spec)
    assert y.shape == (batch, 24, 6, 7)
    assert y.is_contiguous(memory_format=torch.channels_last)


def strided_views(x):
    yield x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    yield torch.cat([x, x], 1)[:, : x.shape[1]]
    yield torch.cat([x, x], 1).contiguous(memory_format=torch.channels_last)[:, : x.shape[1]]


def test_any_strides():
    random = Random()
    block = random.bottleneck("ach", 12, selected=4, kernel=3)
    for x in strided_views(random.image(2, 12, 5, 7)):
        check(x, block)


@needs_library
def test_bitwise_the_same_for_any_number_of_threads():
    random = Random()
    blocks = [
        random.convolution(3, 32, 2, "relu", planar=True),
        random.bottleneck("ghost", 32, 64, 96, kernel=3),
        random.bottleneck("ach", 64, selected=20),
    ]
    packed, spec = pack_blocks(blocks)
    x, threads, runs = random.image(5, 3, 60, 58), torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            runs.append(fused_blocks(x, packed, spec))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(runs[0], runs[2])


@needs_library
def test_writes_every_element():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        random = Random()
        for size in ((1, 1), (7, 7), (2, 31)):
            packed, spec = pack_blocks([random.bottleneck("ach", 20, 21, selected=6)])
            assert fused_blocks(random.image(3, 20, *size), packed, spec).isfinite().all()
    finally:
        torch.use_deterministic_algorithms(before)


def test_other_types_and_gradients_are_composed():
    random = Random()
    block = random.bottleneck("ach", 12, selected=4, kernel=3)
    packed, spec = pack_blocks([block])
    x = random.image(2, 12, 5, 7).double()
    torch.testing.assert_close(fused_blocks(x, packed, spec), literal_blocks(x, [block]))
    x = x.float().requires_grad_()
    fused_blocks(x, packed, spec).sum().backward()
    assert x.grad.abs().sum() > 0


def test_schema():
    """That of the library is the one that stands in its place."""
    assert str(torch.ops.mmhadaptive.fused_blocks.default._schema) == NAME + SCHEMA


def test_shapes_without_values():
    random = Random()
    packed, spec = pack_blocks(
        [random.convolution(3, 16, 2), random.bottleneck("ghost", 16, 20, 16, 2, 2)]
    )
    x = random.image(2, 3, 33, 46)
    expected = fused_blocks(x, packed, spec)
    y = torch.ops.mmhadaptive.fused_blocks(x.to("meta"), packed.to("meta"), spec)
    assert y.shape == expected.shape
    assert y.stride() == expected.stride()


def changed(spec, at, value):
    return [*spec[:at], value, *spec[at + 1 :]]


@needs_library
def test_what_does_not_belong_together_is_refused():
    random = Random()
    packed, spec = pack_blocks([random.bottleneck("ach", 12, selected=4, kernel=3)])
    x = random.image(1, 12, 5, 7)
    operator = torch.ops.mmhadaptive.fused_blocks
    with pytest.raises(RuntimeError, match="takes 12 channels, but its input has 11"):
        operator(x[:, :11], packed, spec)
    with pytest.raises(RuntimeError, match=rf"have {len(packed)} parameters, but there are"):
        operator(x, packed[:-1], spec)
    with pytest.raises(RuntimeError, match="numbers for every block"):
        operator(x, packed, spec[:-1])
    with pytest.raises(RuntimeError, match="4 dimensions"):
        operator(x[0], packed, spec)
    with pytest.raises(RuntimeError, match="float32"):
        operator(x.double(), packed, spec)
    # Whatever single number is out of its range.
    for at, value in itertools.product(range(SPEC_NUMBERS), (-1, 1000)):
        with pytest.raises(RuntimeError, match=r"block 0|parameters"):
            operator(x, packed, changed(spec, at, value))
    packed, spec = pack_blocks([random.bottleneck("ghost", 12, kernel=6)])
    with pytest.raises(RuntimeError, match="kernel of 6 pixels, which does not fit on maps of 1x3"):
        operator(x[:, :, :1, :3], packed, spec)


def test_blocks_that_cannot_be_packed():
    random = Random()
    planar = random.convolution(3, 16, 2, planar=True)
    with pytest.raises(ValueError, match="only the first block of a chain can be planar"):
        pack_blocks([random.convolution(3, 3), planar])
    with pytest.raises(ValueError, match="65 channels cannot be selected of 70"):
        pack_blocks([random.bottleneck("ach", 70, selected=65)])
