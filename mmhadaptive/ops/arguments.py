"""What the compiled and the PyTorch operator both do with their arguments."""

from __future__ import annotations

import torch
from torch import Tensor

NORMS = ("softsign", "sigmoid", "algebraic", "none")
# csrc/core/cross_hadamard_call.h has the same.
STRATEGIES = ("auto", "tiled", "elementwise", "direct", "parity")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
# csrc/core/cross_hadamard.h has the same limits.
MIN_SELECTED = 2
MAX_SELECTED = 64


def num_products(num_selected: int) -> int:
    """The number of products of different channels among ``num_selected`` of them."""
    return num_selected * (num_selected - 1) // 2


def memory_format_of(x: Tensor) -> torch.memory_format:
    """The memory format of the output; ``csrc/pytorch/tensors.h`` has the same rule."""
    _, _, height, width = x.shape
    planar = (width == 1 or x.stride(3) == 1) and (height == 1 or x.stride(2) == width)
    if not planar and x.stride(1) == 1:
        return torch.channels_last
    return torch.contiguous_format


def autocast_input(x: Tensor) -> Tensor:
    """x in the type that the operator runs in: under autocast that of autocast, like the input of a
    convolution. The arithmetic is float32 in any case; float64 is left alone."""
    device = x.device.type
    if x.dtype != torch.float64 and torch.is_autocast_enabled(device):
        return x.to(torch.get_autocast_dtype(device))
    return x


def check(
    x: Tensor,
    index: Tensor,
    gate: Tensor,
    alpha: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    norm: str,
    strategy: str,
) -> None:
    """Raise a ValueError or TypeError that names what is wrong. Reads no tensor's values."""
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {NORMS}, got {norm!r}")
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {STRATEGIES}, got {strategy!r}")
    if x.dim() != 4:
        raise ValueError(f"x must have the shape (N, C, H, W), got {tuple(x.shape)}")
    if x.dtype not in DTYPES:
        raise TypeError(f"x must be of one of the types {DTYPES}, got {x.dtype}")
    if index.dtype != torch.int64:
        raise TypeError(f"index must be int64, got {index.dtype}")
    if index.dim() != 2 or index.shape[0] != x.shape[0]:
        raise ValueError(f"index must be (N, k) with N = {x.shape[0]}, got {tuple(index.shape)}")
    selected = index.shape[1]
    if not MIN_SELECTED <= selected <= MAX_SELECTED:
        raise ValueError(
            f"index must select {MIN_SELECTED} to {MAX_SELECTED} channels, got {selected}"
        )
    if selected > x.shape[1]:
        raise ValueError(f"index selects {selected} channels, but x has {x.shape[1]}")
    if gate.shape != index.shape:
        raise ValueError(
            f"gate must have the shape {tuple(index.shape)} of index, got {tuple(gate.shape)}"
        )
    check_device("index", index, x)
    check_device("gate", gate, x)
    check_floating("gate", gate)
    products = num_products(selected)
    check_parameter("alpha", alpha, 1, norm, x)
    check_parameter("weight", weight, products, norm, x)
    check_parameter("bias", bias, products, norm, x)


def check_parameter(name: str, t: Tensor | None, size: int, norm: str, x: Tensor) -> None:
    if t is None:
        if norm != "none":
            raise ValueError(f"{name} is required with norm={norm!r}")
        return
    if norm == "none":
        raise ValueError(f"{name} must be None with norm={norm!r}")
    if t.dim() != 1 or t.shape[0] != size:
        raise ValueError(f"{name} must have the shape ({size},), got {tuple(t.shape)}")
    check_device(name, t, x)
    check_floating(name, t)


def check_device(name: str, t: Tensor, x: Tensor) -> None:
    if t.device != x.device:
        raise ValueError(f"{name} is on {t.device}, but x is on {x.device}")


def check_floating(name: str, t: Tensor) -> None:
    if not t.is_floating_point():
        raise TypeError(f"{name} must be of a floating-point type, got {t.dtype}")


def cast(
    x: Tensor, gate: Tensor, alpha: Tensor | None, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor | None, ...]:
    """The small tensors in the type of the arithmetic: float64 for x in float64, else float32.
    Tensors of integers stay what they are, for the operator to refuse."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return tuple(
        t.to(dtype) if t is not None and t.is_floating_point() else t
        for t in (gate, alpha, weight, bias)
    )
