"""The cross-Hadamard operator."""

from __future__ import annotations

import torch
from torch import Tensor

from . import dispatch, onnx  # noqa: F401  register the operator
from .arguments import cast, check


def cross_hadamard(
    x: Tensor,
    index: Tensor,
    gate: Tensor,
    alpha: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    norm: str = "softsign",
    strategy: str = "auto",
) -> Tensor:
    r"""Append the normalised products of all pairs of selected channels to a feature map.

    With :math:`z_s = \text{gate}_{n,s}\, x_{n,\,\text{index}_{n,s}}` the output holds the channels
    of x and then, for all :math:`i < j` in row order, so at
    :math:`p = i (2k - i - 1) / 2 + (j - i - 1)`,

    .. math:: y_{n,\,C + p} = \text{weight}_p\, f(\text{alpha}\, z_i z_j) + \text{bias}_p

    where f(t) is t / (1 + \|t\|) for ``softsign``, sigmoid(t) - 1/2 for ``sigmoid`` and
    t / sqrt(1 + t²) for ``algebraic``. With ``none`` the products themselves are appended.

    One pass reads x once and writes the output once, the backward likewise; the results are the
    same, bit for bit, from run to run and for any number of threads.

    Args:
        x: (N, C, H, W), float32, float64, bfloat16 or float16. NCHW and channels_last tensors are
            read in place, channel slices of both too; any other strides cost a copy.
        index: (N, k), int64, 2 <= k <= 64, the selected channels; distinct within a row.
        gate: (N, k), the factors of the selected channels.
        alpha: (1,), or None if and only if norm is ``none``; weight and bias likewise.
        weight: (k(k-1)/2,).
        bias: (k(k-1)/2,).
        norm: ``softsign``, ``sigmoid``, ``algebraic`` or ``none``.
        strategy: How the forward on CUDA maps threads to products: ``tiled``, ``elementwise``, or
            the paper's ``direct`` and ``parity``; ``auto`` is ``tiled``. Other devices ignore it.

    Returns:
        (N, C + k(k-1)/2, H, W), in the type and the memory format of x. The arithmetic, and the
        gradients of gate, alpha, weight and bias before they are cast to the types of these, are
        float64 if x is, else float32. Under autocast x is first cast to the type of autocast.

    Raises:
        ValueError, TypeError: a shape, type, device or name is wrong.
        RuntimeError: an index is out of range or occurs twice in a row. On CUDA that is found on
            the device and reported like any failed device-side assertion.

    Without the compiled library, on other devices than CPU and CUDA, under torch.func and
    forward-mode differentiation, and everywhere if MMHADAPTIVE_REFERENCE=1 is set when this module
    is imported, :func:`cross_hadamard_reference` computes the same.
    """
    args = (x, index, *cast(x, gate, alpha, weight, bias), norm, strategy)
    try:
        return torch.ops.mmhadaptive.cross_hadamard.default(*args)
    except RuntimeError:
        # The kernel and the fake kernel refuse the same arguments. Only after a failure, because
        # on the small maps of the last stages these checks take as long as the products.
        check(x, index, gate, alpha, weight, bias, norm, strategy)
        raise
