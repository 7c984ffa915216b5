"""The depthwise convolution against its literal form: every tap as a shifted map, in float64."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import func
from torch.autograd import forward_ad

from mmhadaptive.ops import depthwise_conv2d
from mmhadaptive.ops.depthwise_conv2d import (
    DTYPES,
    FORWARD,
    SCHEMA,
    depthwise_conv2d_reference,
    forward_is_faster,
)
from mmhadaptive.ops.library import DEVICES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
needs_library = pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")
# Of the difference to the literal result, in parts of the absolute values that were added up: sums
# may cancel, and oneDNN rounds the weight to the type of x before it adds.
TOLERANCES = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 8e-3}


@dataclass
class Inputs:
    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: int
    padding: int

    def args(self):
        return self.x, self.weight, self.bias, self.stride, self.padding

    def differentiable(self):
        named = {"x": self.x, "weight": self.weight, "bias": self.bias}
        return {name: t for name, t in named.items() if t is not None}


def make_inputs(
    batch=2,
    channels=19,
    height=6,
    width=5,
    kernel=3,
    stride=1,
    padding=None,
    bias=True,
    dtype=torch.float32,
    channels_last=True,
    seed=0,
):
    generator = torch.Generator().manual_seed(seed)
    small = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape, of=small):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(of)

    x = normal(batch, channels, height, width, of=dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    weight = normal(channels, 1, kernel, kernel)
    padding = kernel // 2 if padding is None else padding
    return Inputs(x, weight, normal(channels) if bias else None, stride, padding)


def literal(x, weight, bias, stride, padding):
    x, weight = x.double(), weight.double()
    kernel = weight.shape[2]
    padded = torch.nn.functional.pad(x, [padding] * 4)
    height, width = ((size - kernel) // stride + 1 for size in padded.shape[2:])
    y = torch.zeros(*x.shape[:2], height, width, dtype=torch.float64)
    for i in range(kernel):
        for j in range(kernel):
            rows = slice(i, i + (height - 1) * stride + 1, stride)
            columns = slice(j, j + (width - 1) * stride + 1, stride)
            y = y + weight[:, 0, i, j, None, None] * padded[:, :, rows, columns]
    return y if bias is None else y + bias.double()[:, None, None]


def gradient_like(y, dtype):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(y.shape, generator=generator, dtype=torch.float64).to(dtype)


def results(function, inputs, dy=None):
    """The output and all gradients, by name."""
    named = {n: t.detach().requires_grad_() for n, t in inputs.differentiable().items()}
    y = function(*replace(inputs, **named).args())
    dy = gradient_like(y, inputs.x.dtype) if dy is None else dy
    grads = torch.autograd.grad(y, list(named.values()), dy.to(y.dtype))
    return {"y": y.detach(), **dict(zip(named, grads, strict=True))}


def compiled(inputs, dy=None):
    """The same by the kernels themselves, without a choice between them and oneDNN's."""
    x, weight, bias, stride, padding = inputs.args()
    y = torch.ops.mmhadaptive.depthwise_conv2d(x, weight, bias, stride, padding)
    dy = gradient_like(y, x.dtype) if dy is None else dy
    dx, dweight = torch.ops.mmhadaptive.depthwise_conv2d_backward(
        dy, x, weight, stride, padding, True, True
    )
    return {"y": y, "x": dx, "weight": dweight}


def literal_results(inputs, dy=None):
    """The literal output and gradients by name, each beside what the absolute values add up to."""
    dy = gradient_like(literal(*inputs.args()), inputs.x.dtype) if dy is None else dy
    positive = {name: t.abs() for name, t in inputs.differentiable().items()}
    added = results(literal, replace(inputs, **positive), dy.abs())
    return {name: (value, added[name]) for name, value in results(literal, inputs, dy).items()}


def assert_matches(actual, expected, dtype):
    for name, value in actual.items():
        reference, added = (t.double() for t in expected[name])
        assert value.shape == reference.shape, name
        tolerance = TOLERANCES[dtype]
        if name in ("weight", "bias"):  # are not rounded to a low precision
            tolerance = TOLERANCES[torch.promote_types(dtype, torch.float32)]
        error = (value.double() - reference).norm() / added.norm().clamp_min(1e-30)
        assert error <= tolerance, f"{name}: {error:.2e}"


def check(inputs, dy=None):
    expected = literal_results(inputs, dy)
    if "cpu" in DEVICES:
        assert_matches(compiled(inputs, dy), expected, inputs.x.dtype)
    assert_matches(results(depthwise_conv2d, inputs, dy), expected, inputs.x.dtype)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", range(1, 8))
def test_every_kernel(kernel, stride, dtype, channels_last):
    for size in ((8, 7), (2, 2), (1, 9)):
        inputs = make_inputs(2, 21, *size, kernel, stride, dtype=dtype, channels_last=channels_last)
        check(inputs)


@given(
    batch=st.integers(1, 5),
    channels=st.integers(1, 40),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 2),
    padding=st.integers(0, 6),
    bias=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    channels_last=st.booleans(),
    seed=st.integers(0, 100),
)
@settings(max_examples=150, deadline=None)
def test_any_shape(height, width, kernel, padding, **kwargs):
    padding = min(padding, kernel - 1)
    needed = kernel - 2 * padding
    check(make_inputs(height=max(height, needed), width=max(width, needed), kernel=kernel,
                      padding=padding, **kwargs))  # fmt: skip


# Several bands of rows, and more images than one task has.
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("batch", "channels", "size", "kernel"),
    [(1, 17, (130, 61), 7), (70, 16, (5, 4), 5), (9, 650, (3, 3), 3), (1, 3, (3, 900), 5)],
)
def test_large(batch, channels, size, kernel, stride, channels_last):
    check(make_inputs(batch, channels, *size, kernel, stride, channels_last=channels_last))


def strided_views(x):
    """Views with the values of x that are laid out in other ways."""
    batch, channels, height, width = x.shape
    for channels_last in (False, True):
        whole = torch.zeros(batch, 2 * channels, 2 * height, width + 3, dtype=x.dtype)
        if channels_last:
            whole = whole.contiguous(memory_format=torch.channels_last)
        yield whole.clone()[:, 1 : channels + 1, :height, :width].copy_(x)
        yield whole.clone()[:, ::2, ::2, 2 : width + 2].copy_(x)
        sliced = torch.empty_like(x.repeat(2, 2, 1, 1))
        if channels_last:
            sliced = sliced.contiguous(memory_format=torch.channels_last)
        yield sliced[::2, channels:].copy_(x)
    yield x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    yield x[:1].expand(batch, -1, -1, -1)


def test_any_strides():
    inputs = make_inputs(kernel=5)
    for x in strided_views(inputs.x):
        check(replace(inputs, x=x))
    for channels_last in (False, True):
        inputs = make_inputs(kernel=5, channels_last=channels_last)
        for dy in strided_views(torch.randn_like(inputs.x)):
            check(inputs, dy)
    weight = inputs.weight.contiguous(memory_format=torch.channels_last)
    check(replace(inputs, weight=weight.transpose(2, 3)))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("function", [depthwise_conv2d, depthwise_conv2d_reference])
def test_output_keeps_memory_format(function, channels_last):
    form = torch.channels_last if channels_last else torch.contiguous_format
    inputs = make_inputs(kernel=5, stride=2, channels_last=channels_last)
    found = results(function, inputs)
    assert found["y"].is_contiguous(memory_format=form)
    assert found["x"].is_contiguous(memory_format=form)
    assert found["weight"].is_contiguous()


@pytest.mark.parametrize("channels_last", [False, True])
def test_empty_batch(channels_last):
    inputs = make_inputs(0, kernel=5, channels_last=channels_last)
    found = results(depthwise_conv2d, inputs)
    assert found["y"].shape == inputs.x.shape
    for name in ("weight", "bias"):
        assert found[name].eq(0).all()
        assert found[name].shape == getattr(inputs, name).shape


@needs_library
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_writes_every_element(stride, channels_last):
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert torch.empty(3).isnan().all()
        for size in ((1, 1), (7, 7), (2, 31)):
            inputs = make_inputs(3, 20, *size, 7, stride, channels_last=channels_last)
            for name, value in compiled(inputs).items():
                assert value.isfinite().all(), name
    finally:
        torch.use_deterministic_algorithms(before)


@needs_library
@pytest.mark.parametrize("channels_last", [False, True])
def test_bitwise_the_same_for_any_number_of_threads(channels_last):
    inputs = make_inputs(9, 40, 14, 14, 5, channels_last=channels_last)
    threads, runs = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5, 5):
            torch.set_num_threads(count)
            runs.append(compiled(inputs))
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(runs[0][name], run[name]) for name in run)


@needs_library
@pytest.mark.parametrize("needs", [(True, False), (False, True)])
def test_backward_computes_what_is_needed(needs):
    inputs = make_inputs(kernel=5)
    x, weight, _, stride, padding = inputs.args()
    dy = gradient_like(x, x.dtype)
    grads = torch.ops.mmhadaptive.depthwise_conv2d_backward(dy, x, weight, stride, padding, *needs)
    assert [grad.numel() > 0 for grad in grads] == list(needs)
    both = compiled(inputs, dy)
    for grad, name, need in zip(grads, ("x", "weight"), needs, strict=True):
        assert not need or torch.equal(grad, both[name])


@pytest.mark.parametrize("name", ["x", "weight", "bias"])
def test_one_gradient_alone(name):
    inputs = make_inputs(kernel=5)
    expected = results(depthwise_conv2d, inputs)[name]
    alone = getattr(inputs, name).clone().requires_grad_()
    y = depthwise_conv2d(*replace(inputs, **{name: alone}).args())
    y.backward(gradient_like(y, y.dtype))
    torch.testing.assert_close(alone.grad, expected)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2)])
def test_gradcheck(kernel, stride, channels_last):
    inputs = make_inputs(2, 3, 4, 3, kernel, stride, dtype=torch.float64,
                         channels_last=channels_last)  # fmt: skip
    tensors = [t.requires_grad_() for t in inputs.differentiable().values()]

    def function(x, weight, bias):
        return depthwise_conv2d(x, weight, bias, inputs.stride, inputs.padding)

    assert torch.autograd.gradcheck(function, tensors)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


def transforms(operator):
    """Values that PyTorch takes the operator apart for."""
    inputs = make_inputs(2, 3, 4, 5, 5, dtype=torch.float64)
    x, weight, bias, *rest = inputs.args()
    direction = torch.full_like(weight, 0.5)

    def f(weight):
        return operator(x, weight, bias, *rest)

    def energy(weight):
        return f(weight).pow(2).sum()

    yield func.jvp(f, (weight,), (direction,))
    yield func.jacrev(f)(weight)
    yield func.hessian(energy)(weight)
    yield func.vmap(f)(torch.stack([weight, direction]))
    yield func.vmap(func.grad(energy))(torch.stack([weight, direction]))
    with forward_ad.dual_level():
        yield forward_ad.unpack_dual(f(forward_ad.make_dual(weight, direction))).tangent
    leaf = weight.clone().requires_grad_()
    y = f(leaf)
    rows = torch.stack([torch.ones_like(y), y.detach()])
    yield torch.autograd.grad(y, leaf, rows, is_grads_batched=True)[0]


def test_transforms():
    actual, expected = list(transforms(depthwise_conv2d)), list(transforms(literal))
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


def test_autocast():
    inputs = make_inputs(kernel=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = results(depthwise_conv2d, inputs)
        assert depthwise_conv2d(*make_inputs(dtype=torch.float64).args()).dtype == torch.float64
    assert found["y"].dtype == torch.bfloat16
    assert all(found[name].dtype == torch.float32 for name in ("x", "weight", "bias"))
    expected = literal_results(replace(inputs, x=inputs.x.bfloat16()))
    assert_matches({"y": found["y"]}, expected, torch.bfloat16)


def test_casts_weight_and_bias():
    inputs = make_inputs(kernel=5, dtype=torch.bfloat16)
    low = replace(inputs, weight=inputs.weight.bfloat16(), bias=inputs.bias.bfloat16())
    found = results(depthwise_conv2d, low)
    assert all(value.dtype == torch.bfloat16 for value in found.values())
    for name, value in results(literal, low).items():
        torch.testing.assert_close(found[name].double(), value.double(), rtol=2e-2, atol=5e-2)


@needs_library
@pytest.mark.parametrize("channels_last", [False, True])
def test_opcheck(channels_last):
    inputs = make_inputs(kernel=5, channels_last=channels_last)
    for t in inputs.differentiable().values():
        t.requires_grad_()
    torch.library.opcheck(torch.ops.mmhadaptive.depthwise_conv2d.default, inputs.args())
    x, weight, _, stride, padding = inputs.args()
    torch.library.opcheck(
        torch.ops.mmhadaptive.depthwise_conv2d_backward.default,
        (torch.randn_like(x), x, weight, stride, padding, True, True),
        test_utils=("test_schema", "test_faketensor"),
    )


@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic):
    inputs = make_inputs(kernel=5)
    function = torch.compile(depthwise_conv2d, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for size in (4, 5):
        sized = replace(inputs, x=inputs.x[..., :size])
        assert_matches(results(function, sized), literal_results(sized), torch.float32)


def test_schema():
    """That of the library is the one that stands in its place."""
    assert str(torch.ops.mmhadaptive.depthwise_conv2d.default._schema) == FORWARD + SCHEMA


WRONG = {
    "dimensions": (lambda i: replace(i, x=i.x[0]), ValueError, "x must have the shape"),
    "no channel": (
        lambda i: replace(i, x=i.x[:, :0], weight=i.weight[:0], bias=None),
        ValueError,
        r"x must have the shape \(N, C, H, W\) with C > 0",
    ),
    "integer x": (lambda i: replace(i, x=i.x.long()), TypeError, "x must be .* torch.int64"),
    "half x": (lambda i: replace(i, x=i.x.half()), TypeError, "x must be .* torch.float16"),
    "weight": (lambda i: replace(i, weight=i.weight[1:]), ValueError, r"weight .* \(19, 1, k, k\)"),
    "integer weight": (lambda i: replace(i, weight=i.weight.int()), TypeError, "weight must be"),
    "large": (
        lambda i: replace(i, weight=torch.randn(19, 1, 9, 9)),
        ValueError,
        "1 to 7 pixels, got 9",
    ),
    "bias": (lambda i: replace(i, bias=i.bias[1:]), ValueError, r"bias must have the shape \(19,"),
    "stride": (lambda i: replace(i, stride=3), ValueError, "stride must be 1 to 2, got 3"),
    "padding": (lambda i: replace(i, padding=3), ValueError, "padding must be 0 to 2 .* got 3"),
    "map": (
        lambda i: replace(i, x=i.x[..., :2], padding=0),
        ValueError,
        "3 pixels does not fit on maps of 6x2",
    ),
    "device": (lambda i: replace(i, weight=i.weight.to("meta")), ValueError, "weight is on meta"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("function", [depthwise_conv2d, depthwise_conv2d_reference])
def test_wrong_input(function, case):
    change, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        function(*change(make_inputs()).args())


@needs_library
@pytest.mark.parametrize("case", sorted(WRONG.keys() - {"device"}))
def test_operator_itself_refuses_wrong_input(case):
    change, _, _ = WRONG[case]
    with pytest.raises(RuntimeError):
        torch.ops.mmhadaptive.depthwise_conv2d(*change(make_inputs()).args())


def test_small_kernels_and_maps_are_convolved_by_onednn():
    x = make_inputs().x
    assert forward_is_faster(x, 5, 1)
    for other, kernel, stride in ((x, 3, 1), (x, 5, 2), (x[..., :2], 5, 1), (x.bfloat16(), 5, 1)):
        assert not forward_is_faster(other, kernel, stride)


OTHER_KERNELS = """
import itertools
from test_depthwise_conv2d import DTYPES, assert_matches, compiled, literal_results, make_inputs
for kernel, stride, dtype, last in itertools.product((2, 3, 7), (1, 2), DTYPES, (False, True)):
    for size in ((2, 2), (9, 12)):
        inputs = make_inputs(3, 21, *size, kernel, stride, dtype=dtype, channels_last=last)
        assert_matches(compiled(inputs), literal_results(inputs), dtype)
"""


def run(script, **variables):
    path = os.pathsep.join([str(ROOT), str(HERE)])
    environment = os.environ | {"PYTHONPATH": path, **variables}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


@needs_library
@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_kernels_for_other_processors(capability):
    run(OTHER_KERNELS, ATEN_CPU_CAPABILITY=capability)


@needs_library
def test_without_the_library():
    script = """
from test_depthwise_conv2d import *
assert not DEVICES
test_schema()
test_transforms()
for kernel in range(1, 8):
    check(make_inputs(kernel=kernel))
"""
    run(script, MMHADAPTIVE_REFERENCE="1")
