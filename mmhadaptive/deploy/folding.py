"""Constants of inference that go into the weights of a convolution beside them, exactly."""

from __future__ import annotations

import copy

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mmhadaptive.layers.dynamic_norm import DynamicNorm

TINY = 1e-12


@torch.no_grad()
def fold_norms(model: nn.Module) -> nn.Module:
    """Put every batch normalisation of a ``ConvModule`` into its convolution, in place.

    Args:
        model: A network in evaluation mode, which can no longer be trained afterwards.

    Returns:
        The model.
    """
    users: dict[nn.Module, list[ConvModule]] = {}
    for module in model.modules():
        if isinstance(module, ConvModule) and _norm_follows(module):
            users.setdefault(module.conv, []).append(module)
    for conv, modules in users.items():
        # Levels of a pyramid may share a convolution and not what follows it; then each gets one.
        copies = [copy.deepcopy(conv) for _ in modules[1:]]
        for module, own in zip(modules, [conv, *copies], strict=True):
            module.conv = own
            _fold_norm(own, module.norm)
            setattr(module, module.norm_name, nn.Identity())
            module.with_norm = False
    return model


def _norm_follows(module: ConvModule) -> bool:
    return (
        module.with_norm
        and isinstance(module.norm, _BatchNorm)
        and module.norm.running_mean is not None
        and type(module.conv).__name__ in ("Conv2d", "DepthwiseConv2d")
        and module.order.index("norm") == module.order.index("conv") + 1
    )


def _fold_norm(conv: nn.Conv2d, norm: _BatchNorm) -> None:
    dtype = conv.weight.dtype
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        None if norm.weight is None else norm.weight.double(),
        None if norm.bias is None else norm.bias.double(),
    )
    set_weights(conv, weight.to(dtype), bias.to(dtype))


def set_weights(conv: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Give a layer these tensors for good."""
    conv.weight = nn.Parameter(weight.detach().contiguous(), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)


def fold_product_norm(norm: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    r"""A normalisation of products, dynamic or of the batch, as constants of the layers around it.

    The dynamic ones have odd functions f, so with :math:`s = \sqrt{|\alpha|}`

    .. math:: w f(\alpha z_i z_j) + b = w \,\text{sign}(\alpha)
        \left(f(s z_i \cdot s z_j) + \frac{b}{w \,\text{sign}(\alpha)}\right)

    Here s can go into the convolution that gives z, and the factor before the bracket into the
    kernels of a depthwise convolution that follows. The shift within it cannot: at the edges
    the convolution pads with zeros.

    Zeros take part as a number that is too small to matter.

    Returns:
        s (scalar), factor and shift (P,), in float64.
    """
    if isinstance(norm, DynamicNorm):
        alpha, weight, bias = (t.detach().double() for t in (norm.alpha, norm.weight, norm.bias))
    else:
        alpha = torch.ones(1, dtype=torch.float64)
        weight, bias = _affine(norm)
    factor = _away_from_zero(weight) * alpha.sign().where(alpha != 0, torch.ones_like(alpha))
    return _away_from_zero(alpha).abs().sqrt().squeeze(), factor, bias / factor


def _away_from_zero(t: Tensor) -> Tensor:
    return t.where(t.abs() >= TINY, torch.full_like(t, TINY).copysign(t))


def _affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Factor and summand of a batch normalisation in evaluation."""
    deviation = (norm.running_var.double() + norm.eps).sqrt()
    factor = 1 / deviation if norm.weight is None else norm.weight.detach().double() / deviation
    bias = 0 if norm.bias is None else norm.bias.detach().double()
    return factor, bias - norm.running_mean.double() * factor


def score_matrix(kernel: Tensor, channels: int) -> Tensor:
    """The convolution of ECA over channels, with a kernel (1, 1, K), as a matrix (C, C): scores
    are ``pooled @ matrix``."""
    eye = torch.eye(channels, dtype=kernel.dtype, device=kernel.device)
    return nn.functional.conv1d(eye.unsqueeze(1), kernel, padding=kernel.shape[2] // 2).squeeze(1)
