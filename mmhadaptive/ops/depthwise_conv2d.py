"""The depthwise convolution: kernels for the CPU, PyTorch's convolution elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import autocast_input, check_device, check_floating, memory_format_of
from .library import DEVICES
from .reference import is_transformed

FORWARD, BACKWARD = "mmhadaptive::depthwise_conv2d", "mmhadaptive::depthwise_conv2d_backward"
# csrc/pytorch/depthwise_convolution_cpu.cpp has the same.
SCHEMA = "(Tensor x, Tensor weight, Tensor? bias, int stride, int padding) -> Tensor"
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
# csrc/core/depthwise_convolution_call.h has the same limits.
MAX_KERNEL = 7
MAX_STRIDE = 2


def depthwise_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0
) -> Tensor:
    r"""Convolve every channel with a kernel of its own.

    .. math:: y_{n,c,h,w} = \text{bias}_c + \sum_{i,j} \text{weight}_{c,0,i,j}\,
        x_{n,\,c,\,h s + i - p,\,w s + j - p}

    with the stride s, the padding p and x zero beyond its borders. On the CPU only taps that fall
    on the map cost anything, and the backward computes the gradients of x and weight in one pass,
    the same ones, bit for bit, from run to run and for any number of threads. With a gradient the
    forward is oneDNN's where that takes less time, which rounds the weight to the type of x.

    Args:
        x: (N, C, H, W), float32, float64 or bfloat16. NCHW and channels_last tensors are read in
            place, channel slices of both too; any other strides cost a copy.
        weight: (C, 1, k, k), k from 1 to 7.
        bias: (C,), or None.
        stride: 1 or 2.
        padding: 0 to k - 1, on all four sides.

    Returns:
        (N, C, (H + 2p - k) // s + 1, (W + 2p - k) // s + 1), in the type and the memory format of
        x. The arithmetic, the weight and the bias are float64 if x is, else float32. Under autocast
        x is first cast to the type of autocast.

    Raises:
        ValueError, TypeError: a shape, type or device is wrong.

    Without the compiled library, on other devices, under torch.func, in forward-mode and for higher
    derivatives it is PyTorch's convolution.
    """
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    args = (x, _cast(weight, dtype), _cast(bias, dtype), stride, padding)
    try:
        return torch.ops.mmhadaptive.depthwise_conv2d.default(*args)
    except RuntimeError:
        check(x, weight, bias, stride, padding)
        raise


def forward_is_faster(x: Tensor, kernel: int, stride: int) -> bool:
    """Whether the forward takes less time than oneDNN's, by measurement: in float32 with
    channels_last and large kernels, on maps that are not tiny."""
    if kernel < 5 or stride > 1 or x.dtype != torch.float32 or x.shape[2] * x.shape[3] <= 16:
        return False
    return memory_format_of(x) == torch.channels_last


def backward_is_faster(x: Tensor, kernel: int, stride: int) -> bool:
    """Whether the backward takes less time than oneDNN's, by measurement: with large kernels many
    times less, with those of 3 pixels a little less where channels_last saves a transposition."""
    if kernel >= 5:
        return True
    return kernel >= 3 and stride == 1 and memory_format_of(x) == torch.channels_last


def _cast(t: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if t is None or t.dtype == dtype or not t.is_floating_point():
        return t
    return t.to(dtype)


def check(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> None:
    """Raise a ValueError or TypeError that names what is wrong."""
    if x.dim() != 4 or x.shape[1] == 0:
        raise ValueError(f"x must have the shape (N, C, H, W) with C > 0, got {tuple(x.shape)}")
    if x.dtype not in DTYPES:
        raise TypeError(f"x must be of one of the types {DTYPES}, got {x.dtype}")
    channels, kernel = x.shape[1], weight.shape[-1]
    if tuple(weight.shape) != (channels, 1, kernel, kernel):
        raise ValueError(
            f"weight must have the shape ({channels}, 1, k, k), got {tuple(weight.shape)}"
        )
    if not 1 <= kernel <= MAX_KERNEL:
        raise ValueError(f"weight must have kernels of 1 to {MAX_KERNEL} pixels, got {kernel}")
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(f"bias must have the shape ({channels},), got {tuple(bias.shape)}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None:
            check_device(name, t, x)
            check_floating(name, t)
    if not 1 <= stride <= MAX_STRIDE:
        raise ValueError(f"stride must be 1 to {MAX_STRIDE}, got {stride}")
    if not 0 <= padding < kernel:
        raise ValueError(f"padding must be 0 to {kernel - 1} with {kernel=}, got {padding}")
    height, width = x.shape[2:]
    if min(height, width) < max(1, kernel - 2 * padding):
        raise ValueError(
            f"a kernel of {kernel} pixels does not fit on maps of {height}x{width} with {padding=}"
        )


def depthwise_conv2d_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """:func:`depthwise_conv2d` by PyTorch's convolution."""
    check(x, weight, bias, stride, padding)
    x = autocast_input(x)
    with torch.autocast(x.device.type, enabled=False):
        return _convolution(x, weight, bias, stride, padding)


def _convolution(x, weight, bias, stride, padding):
    """PyTorch's convolution, without a check and outside of autocast."""
    weight, bias = _cast(weight, x.dtype), _cast(bias, x.dtype)
    y = torch.conv2d(x, weight, bias, stride, padding, 1, weight.shape[0])
    form = memory_format_of(x)
    # torch.vmap knows no memory format but the contiguous one.
    if is_transformed() or y.is_contiguous(memory_format=form):
        return y
    return y.contiguous(memory_format=form)


def _fake(x, weight, bias, stride, padding):
    check(x, weight, bias, stride, padding)
    sizes = [(size + 2 * padding - weight.shape[2]) // stride + 1 for size in x.shape[2:]]
    shape, form = (*x.shape[:2], *sizes), memory_format_of(x)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=form)


def _backward_fake(dy, x, weight, stride, padding, need_x, need_weight):
    dx = x.new_empty(0)
    if need_x:
        form = memory_format_of(x)
        dx = torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=form)
    return dx, weight.new_empty(weight.shape if need_weight else 0)


# As in dispatch.py: torch.library.register_autograd would cost more time.
def _autograd(x, weight, bias, stride, padding):
    args = (x, weight, bias, stride, padding)
    if is_transformed():
        return depthwise_conv2d_reference(*args)
    if _needs_grad(x, weight, bias):
        compiled = x.device.type == "cpu" and "cpu" in DEVICES
        return _DepthwiseConv2d.apply(*args) if compiled else depthwise_conv2d_reference(*args)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.mmhadaptive.depthwise_conv2d.default(*args)


def _needs_grad(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


class _DepthwiseConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding):
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        with torch._C._AutoDispatchBelowAutograd():
            if forward_is_faster(x, weight.shape[2], stride):
                forward = torch.ops.mmhadaptive.depthwise_conv2d.default
            else:
                forward = _convolution
            return forward(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad[:3]
        dx = dweight = None
        if need_x or need_weight:
            # By the dispatcher, since dy may be a batch of gradients (is_grads_batched).
            dx, dweight = torch.ops.mmhadaptive.depthwise_conv2d_backward.default(
                dy, x, weight, ctx.stride, ctx.padding, need_x, need_weight
            )
        dbias = dy.sum((0, 2, 3), dtype=weight.dtype) if need_bias else None
        return dx if need_x else None, dweight if need_weight else None, dbias, None, None


def _backward_autograd(dy, x, weight, stride, padding, need_x, need_weight):
    args = (dy, x, weight, stride, padding, need_x, need_weight)
    if is_transformed() or _needs_grad(dy, x, weight):
        return _composed_backward(*args)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.mmhadaptive.depthwise_conv2d_backward.default(*args)


def _composed_backward(dy, x, weight, stride, padding, need_x, need_weight):
    """PyTorch's backward, differentiable any number of times and in any mode."""
    dx, dweight, _ = torch.ops.aten.convolution_backward.default(
        dy, x, _cast(weight, x.dtype), None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0],
        weight.shape[0], [need_x, need_weight, False],
    )  # fmt: skip
    return (
        dx if need_x else x.new_empty(0),
        _cast(dweight, weight.dtype) if need_weight else weight.new_empty(0),
    )


def _autocast_rule(device: str):
    def rule(x, weight, bias, stride, padding):
        x = autocast_input(x)
        with torch.autocast(device, enabled=False):
            return torch.ops.mmhadaptive.depthwise_conv2d(x, weight, bias, stride, padding)

    return rule


def register() -> None:
    """Give the operator what the compiled library does not hold."""
    if "cpu" in DEVICES:
        torch.library.register_fake(BACKWARD, _backward_fake)
        torch.library.impl(BACKWARD, "Autograd", _backward_autograd)
        torch.library.impl(BACKWARD, "FuncTorchBatched", _composed_backward)
        torch.library.impl(BACKWARD, "CompositeExplicitAutograd", _composed_backward)
    else:
        torch.library.define(FORWARD, SCHEMA)
    torch.library.impl(FORWARD, "CompositeExplicitAutograd", depthwise_conv2d_reference)
    torch.library.register_fake(FORWARD, _fake)
    torch.library.impl(FORWARD, "Autograd", _autograd)
    torch.library.impl(FORWARD, "FuncTorchBatched", depthwise_conv2d_reference)
    for key, device in (("AutocastCPU", "cpu"), ("AutocastCUDA", "cuda")):
        torch.library.impl(FORWARD, key, _autocast_rule(device))


register()
