"""The cross-Hadamard operator in PyTorch operations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .arguments import autocast_input, cast, check, memory_format_of


def cross_hadamard_reference(
    x: Tensor,
    index: Tensor,
    gate: Tensor,
    alpha: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    norm: str = "softsign",
    strategy: str = "auto",
) -> Tensor:
    """:func:`cross_hadamard` in PyTorch operations, with the same arguments and result.

    It holds all products in memory several times over. ``strategy`` has no effect. Channels that
    are selected twice are not refused.
    """
    check(x, index, gate, alpha, weight, bias, norm, strategy)
    x = autocast_input(x)
    gate, alpha, weight, bias = cast(x, gate, alpha, weight, bias)
    with torch.autocast(x.device.type, enabled=False):
        y = composition(x, index, gate, alpha, weight, bias, norm)
    # torch.vmap knows no memory format but the contiguous one.
    if is_transformed():
        return y
    return y.contiguous(memory_format=memory_format_of(x))


def is_transformed() -> bool:
    """Whether torch.func or forward-mode AD is at work, which take PyTorch operations apart."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def composition(
    x: Tensor,
    index: Tensor,
    gate: Tensor,
    alpha: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    norm: str,
) -> Tensor:
    """The operator without checks and casts, differentiable any number of times."""
    positions = index[:, :, None, None].expand(-1, -1, x.shape[2], x.shape[3])
    z = gate[:, :, None, None] * x.gather(1, positions)
    first, second = product_pairs(index.shape[1], x.device)
    products = z.index_select(1, first) * z.index_select(1, second)
    return torch.cat([x, normalise(products, alpha, weight, bias, norm).to(x.dtype)], 1)


def product_pairs(num_selected: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first and the second factor of every product."""
    return torch.triu_indices(num_selected, num_selected, 1, device=device).unbind()


def normalise(
    v: Tensor, alpha: Tensor | None, weight: Tensor | None, bias: Tensor | None, norm: str
) -> Tensor:
    """The normalised products of v, (N, k(k-1)/2, H, W)."""
    if norm == "none":
        return v
    t = alpha * v
    if norm == "softsign":
        f = t / (1 + t.abs())
    elif norm == "sigmoid":
        f = t.sigmoid() - 0.5
    else:
        f = t / (1 + t * t).sqrt()
    return weight[:, None, None] * f + bias[:, None, None]
