"""From selected channels through the depthwise convolution, without the products in memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .arguments import memory_format_of, num_products
from .library import DEVICES
from .reference import normalise, product_pairs

NAME = "mmhadaptive::cross_hadamard_depthwise"
# csrc/pytorch/fused_blocks_cpu.cpp has the same.
SCHEMA = (
    "(Tensor x, Tensor index, Tensor alpha, Tensor norm_weight, Tensor norm_bias, Tensor weight, "
    "Tensor bias, int stride, int padding, str norm='softsign', str activation='hardswish') "
    "-> Tensor"
)
ACTIVATIONS = {"none": lambda x: x, "relu": functional.relu, "hardswish": functional.hardswish}


def cross_hadamard_depthwise(
    x: Tensor,
    index: Tensor,
    alpha: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int = 1,
    padding: int = 0,
    norm: str = "softsign",
    activation: str = "hardswish",
) -> Tensor:
    r"""The cross-Hadamard expansion, a depthwise convolution of it and an activation, for
    inference.

    The expansion is that of :func:`mmhadaptive.ops.cross_hadamard` with a gate of ones: the
    channels of x and then :math:`\text{norm\_weight}_p\, f(\text{alpha}\, z_i z_j) +
    \text{norm\_bias}_p`. It is never whole in memory: on the CPU a few channels of it are made and
    convolved while they are in the cache, on CUDA a tile of them in shared memory.

    Args:
        x: (N, C, H, W), float32, and on CUDA float64, bfloat16 or float16 too; NCHW or
            channels_last.
        index: (N, k), int64, 2 <= k <= 64, the selected channels of each image.
        alpha: (1,), float64 if x is, else float32, and so are the next ones.
        norm_weight, norm_bias: (k(k-1)/2,).
        weight: (C + k(k-1)/2, 1, s, s), s from 1 to 7.
        bias: (C + k(k-1)/2,).
        stride: 1 or 2.
        padding: 0 to s - 1, on all four sides.
        norm: ``softsign``, ``sigmoid``, ``algebraic`` or ``none``, which is f(t) = t.
        activation: ``hardswish``, ``relu`` or ``none``.

    Returns:
        (N, C + k(k-1)/2, H', W'), in the type and the memory format of x.

    Raises:
        RuntimeError: a shape, type, device or name is wrong, or an index is out of range; on CUDA
            the latter is a failed device-side assertion.

    Other types on the CPU, other devices and an x that needs a gradient go through
    :func:`cross_hadamard_depthwise_reference`.
    """
    args = (x, index, alpha, norm_weight, norm_bias, weight, bias, stride, padding)
    args = (*args, norm, activation)
    compiled = x.is_cuda or x.dtype == torch.float32
    if not compiled or (x.requires_grad and torch.is_grad_enabled()):
        return cross_hadamard_depthwise_reference(*args)
    return torch.ops.mmhadaptive.cross_hadamard_depthwise.default(*args)


def cross_hadamard_depthwise_reference(
    x, index, alpha, norm_weight, norm_bias, weight, bias, stride, padding, norm, activation
) -> Tensor:
    """The same of the same arguments, in PyTorch's operations and in the type of x."""
    if activation not in ACTIVATIONS:
        raise RuntimeError(f"activation must be one of {list(ACTIVATIONS)}, got {activation!r}")
    alpha, norm_weight, norm_bias, weight, bias = (
        t.to(x.dtype) for t in (alpha, norm_weight, norm_bias, weight, bias)
    )
    y = torch.cat([x, products(x, index, alpha, norm_weight, norm_bias, norm)], dim=1)
    y = functional.conv2d(y, weight, bias, stride, padding, groups=len(weight))
    return ACTIVATIONS[activation](y).contiguous(memory_format=memory_format_of(x))


def products(
    x: Tensor, index: Tensor, alpha: Tensor, weight: Tensor, bias: Tensor, norm: str
) -> Tensor:
    """``weight * f(alpha * z_i * z_j) + bias`` of the selected channels, (N, k(k-1)/2, H, W)."""
    z = x.gather(1, index[:, :, None, None].expand(-1, -1, *x.shape[2:]))
    first, second = product_pairs(index.shape[1], x.device)
    v = z.index_select(1, first) * z.index_select(1, second)
    if norm == "none":
        return torch.addcmul(bias[:, None, None], weight[:, None, None], alpha * v)
    return normalise(v, alpha, weight, bias, norm)


def _fake(
    x, index, alpha, norm_weight, norm_bias, weight, bias, stride, padding,
    norm="softsign", activation="hardswish",
):  # fmt: skip
    batch, channels, *sizes = x.shape
    kernel = weight.shape[-1]
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in sizes)
    shape = (batch, channels + num_products(index.shape[1]), height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format_of(x))


def register() -> None:
    """Give the operator what the compiled libraries do not hold."""
    if "cpu" not in DEVICES:
        torch.library.define(NAME, SCHEMA)
    reference = cross_hadamard_depthwise_reference
    torch.library.impl(NAME, "CompositeExplicitAutograd", reference)
    torch.library.register_fake(NAME, _fake)


register()
