"""From selected channels through the depthwise convolution, against the literal form in float64;
on CUDA by the kernel's threads on the CPU (test_cuda_kernels.py)."""

from dataclasses import dataclass, fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_blocks import activate, convolve, expand

from mmhadaptive.ops import cross_hadamard_depthwise, cross_hadamard_depthwise_reference
from mmhadaptive.ops.cross_hadamard_depthwise import ACTIVATIONS, NAME, SCHEMA
from mmhadaptive.ops.fused_blocks import NORMS
from mmhadaptive.ops.library import DEVICES

needs_library = pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 8e-3}


@dataclass
class Inputs:
    x: torch.Tensor
    index: torch.Tensor
    alpha: torch.Tensor
    norm_weight: torch.Tensor
    norm_bias: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    stride: int
    padding: int
    norm: str
    activation: str

    def args(self):
        return [getattr(self, field.name) for field in fields(self)]


def make_inputs(
    batch=2,
    channels=12,
    height=6,
    width=7,
    selected=5,
    kernel=5,
    stride=1,
    norm="softsign",
    activation="hardswish",
    dtype=torch.float32,
    channels_last=False,
    seed=0,
):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    x = normal(batch, channels, height, width).to(dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    rows = [torch.randperm(channels, generator=generator)[:selected] for _ in range(batch)]
    pairs = selected * (selected - 1) // 2
    wide = channels + pairs
    return Inputs(
        x,
        torch.stack(rows),
        normal(1),
        normal(pairs),
        normal(pairs),
        normal(wide, 1, kernel, kernel),
        normal(wide),
        stride,
        (kernel - 1) // 2,
        norm,
        activation,
    )


def literal(x, index, alpha, norm_weight, norm_bias, weight, bias, stride, padding, norm, act):
    x, alpha, norm_weight, norm_bias, weight, bias = (
        t.double() for t in (x, alpha, norm_weight, norm_bias, weight, bias)
    )
    y = expand(x, index, alpha, norm_weight, norm_bias, norm)
    return activate(act, convolve(y, weight, bias, stride, padding))


def assert_matches(y, inputs):
    expected = literal(*inputs.args())
    assert y.shape == expected.shape
    assert y.dtype == inputs.x.dtype
    error = (y.double() - expected).norm() / expected.norm().clamp_min(1e-3)
    assert error <= TOLERANCES[inputs.x.dtype], f"{error:.2e}"


def check(inputs):
    for function in (cross_hadamard_depthwise, cross_hadamard_depthwise_reference):
        y = function(*inputs.args())
        assert_matches(y, inputs)
        form = torch.contiguous_format if inputs.x.is_contiguous() else torch.channels_last
        assert y.is_contiguous(memory_format=form)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_matches_literal_form(norm, activation, channels_last):
    check(make_inputs(norm=norm, activation=activation, channels_last=channels_last))


@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 20),
    width=st.integers(1, 70),
    selected=st.integers(2, 20),
    unselected=st.integers(0, 20),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 2),
    channels_last=st.booleans(),
    seed=st.integers(0, 100),
)
@settings(max_examples=40, deadline=None)
def test_any_shape(height, width, selected, unselected, kernel, **kwargs):
    least = kernel - 2 * ((kernel - 1) // 2)
    check(make_inputs(height=max(height, least), width=max(width, least), selected=selected,
                      channels=selected + unselected, kernel=kernel, **kwargs))  # fmt: skip


def test_other_types_and_gradients_are_composed():
    inputs = make_inputs(dtype=torch.bfloat16)
    assert_matches(cross_hadamard_depthwise(*inputs.args()), inputs)
    inputs = make_inputs()
    inputs.x.requires_grad_()
    cross_hadamard_depthwise(*inputs.args()).sum().backward()
    assert inputs.x.grad.abs().sum() > 0


def test_schema():
    """That of the library is the one that stands in its place."""
    found = str(torch.ops.mmhadaptive.cross_hadamard_depthwise.default._schema)
    assert found == NAME + SCHEMA.replace("'", '"')


@pytest.mark.parametrize("channels_last", [False, True])
def test_shapes_without_values(channels_last):
    inputs = make_inputs(stride=2, channels_last=channels_last)
    expected = cross_hadamard_depthwise(*inputs.args())
    given = [t.to("meta") if torch.is_tensor(t) else t for t in inputs.args()]
    y = torch.ops.mmhadaptive.cross_hadamard_depthwise(*given)
    assert (y.shape, y.stride()) == (expected.shape, expected.stride())


WRONG = {
    "index range": (lambda i: replace(i, index=i.index + 12), "outside of the 12 channels of x"),
    "index type": (lambda i: replace(i, index=i.index.int()), "index must be int64"),
    "index batch": (lambda i: replace(i, index=i.index[:1]), "index must have shape"),
    "alpha": (lambda i: replace(i, alpha=i.alpha.double()), "alpha must be float64 if x is"),
    "norm weight": (lambda i: replace(i, norm_weight=i.norm_weight[1:]), "norm_weight must have"),
    "bias": (lambda i: replace(i, bias=i.bias[1:]), "bias must have shape"),
    "weight": (lambda i: replace(i, weight=i.weight[..., :3]), "weight must have shape"),
    "stride": (lambda i: replace(i, stride=3), "stride must be 1 to 2"),
    "padding": (lambda i: replace(i, padding=5), "padding must be 0 to 4"),
    "size": (lambda i: replace(i, x=i.x[..., :2], padding=0), "does not fit on maps of 6x2"),
    "norm": (lambda i: replace(i, norm="soft"), "norm must be"),
    "activation": (lambda i: replace(i, activation="gelu"), "activation must be"),
}


@needs_library
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input(case):
    change, message = WRONG[case]
    with pytest.raises(RuntimeError, match=message):
        cross_hadamard_depthwise(*change(make_inputs()).args())
