"""Cross-Hadamard layers and bottlenecks in the form of fewest operations, for inference alone.

The gates are one and left out; BatchNorms, alpha and the weights of the dynamic normalisation are
folded (:mod:`.folding`). A bottleneck does not concatenate: the depthwise convolution is done by
parts, and the projection is the sum of those of the parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mmhadaptive.layers import AdaptiveBottleneck, AdaptiveCrossHadamard
from mmhadaptive.layers.channel_scores import ECAScores, StaticScores
from mmhadaptive.layers.dynamic_norm import DynamicNorm
from mmhadaptive.layers.expansion import GhostExpansion
from mmhadaptive.ops.reference import product_pairs
from mmhadaptive.ops.slices import sliced_channels, sliced_products

from .folding import fold_norms, fold_product_norm, score_matrix, set_weights
from .merged_convolutions import merge_convolutions, merge_stem

# ONNX Runtime takes a convolution for its fast layout where channels are a multiple of that.
ALIGNMENT = 4


def lean(model: nn.Module, products: bool = True) -> nn.Module:
    """Bring a network in evaluation mode to this form, in place; it computes the same.

    Layers of subclasses, and normalisations of products that are neither dynamic nor of the batch,
    stay as they are.

    Args:
        model: The network.
        products: Whether cross-Hadamard layers change too; or else they call the operator.

    Returns:
        The model, or what takes its place.
    """
    return _replace(merge_stem(fold_norms(model)), products)


def _replace(module: nn.Module, products: bool) -> nn.Module:
    if (
        type(module).forward is AdaptiveBottleneck.forward
        and _is_known(module.expand, products)
        and isinstance(module.se, nn.Identity)
        and module.depthwise.order[-1] == "act"
    ):
        return LeanBottleneck(module)
    if isinstance(module, AdaptiveCrossHadamard) and _is_known(module, products):
        return LeanCrossHadamard(module)
    for name, child in module.named_children():
        new = _replace(child, products)
        if new is not child:
            setattr(module, name, new)
    return module


def _is_known(expansion: nn.Module, products: bool) -> bool:
    if type(expansion) is GhostExpansion:
        return True
    return (
        products
        and type(expansion) is AdaptiveCrossHadamard
        and type(getattr(expansion, "scores", None)) in (ECAScores, StaticScores, type(None))
        and (
            expansion.product_norm is None
            or isinstance(expansion.product_norm, (DynamicNorm, _BatchNorm))
        )
    )


def bounded(function: str, x: Tensor) -> Tensor:
    """The function of a dynamic normalisation, in the fewest operators of ONNX; that of
    ``sigmoid`` without its ``-1/2``."""
    if function == "softsign":
        if torch.onnx.is_in_onnx_export():
            return torch.onnx.ops.symbolic("Softsign", (x,), dtype=x.dtype, shape=x.shape)
        return nn.functional.softsign(x)
    if function == "sigmoid":
        return x.sigmoid()
    return x / (1 + x * x).sqrt() if function == "algebraic" else x


def select(x: Tensor, index: Tensor) -> Tensor:
    """The channels ``index``, (k,) or (N, k), of x (N, C, H, W)."""
    if not torch.onnx.is_in_onnx_export():
        if index.dim() == 1:
            return x.index_select(1, index)
        return x.gather(1, index[:, :, None, None].expand(-1, -1, *x.shape[2:]))
    shape = (x.shape[0], index.shape[-1], *x.shape[2:])
    if index.dim() == 1:
        # index_select would first reshape the index.
        return torch.onnx.ops.symbolic(
            "Gather", (x, index), dict(axis=1), dtype=x.dtype, shape=shape
        )
    return torch.onnx.ops.symbolic(
        "GatherND", (x, index.unsqueeze(2)), dict(batch_dims=1), dtype=x.dtype, shape=shape
    )


class LeanExpansion(nn.Module):
    """A cross-Hadamard layer as the two parts of its output, each up to factors.

    The output of the layer is ``x / scale`` and ``factor * products``.

    Args:
        layer: The layer, with its batch normalisation folded.
        scalable: Whether ``scale`` may be other than 1, and there may be some products more, up to
            the next multiple of :data:`ALIGNMENT`, which are to be given no weight.
    """

    def __init__(self, layer: AdaptiveCrossHadamard, scalable: bool) -> None:
        super().__init__()
        self.pointwise = layer.pointwise
        self.function = getattr(layer.product_norm, "function", "none")
        self.num_selected = layer.num_selected
        self.fixed_channels = layer.fixed_channels
        first, second = product_pairs(layer.num_selected, torch.device("cpu"))
        self.extra = extra = -len(first) % ALIGNMENT if scalable else 0
        self.channels = (layer.in_channels, len(first) + extra)
        self.register_buffer("first", functional.pad(first, (0, extra)))
        self.register_buffer("second", functional.pad(second, (0, extra)))
        for name in ("index", "matrix", "inner_scale", "shift"):
            self.register_buffer(name, None)
        if layer.selection == "eca":
            self.matrix = score_matrix(layer.scores.weight.detach(), layer.in_channels)
        elif layer.selection == "static":
            self.index = layer.scores.weight.detach().topk(self.num_selected).indices
        self.scale, self.factor = 1.0, torch.ones(self.channels[1], dtype=torch.float64)
        if layer.product_norm is not None:
            self._fold(layer.product_norm, scalable)

    def _fold(self, norm: nn.Module, scalable: bool) -> None:
        scale, factor, shift = fold_product_norm(norm)
        self.factor[: len(factor)] = factor
        dtype = (norm.running_mean if isinstance(norm, _BatchNorm) else norm.alpha).dtype
        if self.function == "sigmoid":
            shift = shift - 0.5
        if shift.any():
            extra = self.channels[1] - len(shift)
            self.shift = functional.pad(shift.to(dtype), (0, extra))[:, None, None]
        if scale == 1:
            return
        if scalable and isinstance(self.pointwise, ConvModule) and not self.pointwise.with_norm:
            conv, self.scale = self.pointwise.conv, float(scale)
            bias = None if conv.bias is None else conv.bias * self.scale
            set_weights(conv, conv.weight * self.scale, bias)
        else:
            self.inner_scale = scale.to(dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pointwise(x)
        return x, self._products(x)

    def _products(self, x: Tensor) -> Tensor:
        fixed = self.fixed_channels
        z = sliced_channels(x, fixed) if fixed else select(x, self._index(x))
        if self.inner_scale is not None:
            z = z * self.inner_scale
        if fixed:
            products = sliced_products(z, self.extra)
        else:
            products = select(z, self.first) * select(z, self.second)
        y = bounded(self.function, products)
        return y if self.shift is None else y + self.shift

    def _index(self, x: Tensor) -> Tensor:
        if self.matrix is None:
            return self.index
        # A batch whose size is left open is no int.
        single = isinstance(x.shape[0], int) and x.shape[0] == 1
        pooled = x.mean((0, 2, 3) if single else (2, 3))
        return (pooled @ self.matrix).topk(self.num_selected, dim=-1).indices


class LeanCrossHadamard(nn.Module):
    """A cross-Hadamard layer by itself."""

    def __init__(self, layer: AdaptiveCrossHadamard) -> None:
        super().__init__()
        self.expand = LeanExpansion(layer, scalable=False)
        self.register_buffer("factor", None)
        if (self.expand.factor != 1).any():
            dtype = next(layer.parameters()).dtype
            self.factor = self.expand.factor.to(dtype)[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        x, products = self.expand(x)
        return torch.cat([x, products if self.factor is None else products * self.factor], 1)


class _LeanGhost(nn.Module):
    """The two halves of a Ghost expansion."""

    def __init__(self, layer: GhostExpansion) -> None:
        super().__init__()
        self.primary, self.cheap = layer.primary, layer.cheap
        half = layer.out_channels // 2
        self.channels, self.scale, self.factor = (half, half), 1.0, 1.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.primary(x)
        return x, self.cheap(x)


class LeanBottleneck(nn.Module):
    """An :class:`~mmhadaptive.layers.AdaptiveBottleneck` by parts."""

    def __init__(self, block: AdaptiveBottleneck) -> None:
        super().__init__()
        ghost = isinstance(block.expand, GhostExpansion)
        self.expand = _LeanGhost(block.expand) if ghost else LeanExpansion(block.expand, True)
        self.with_residual = block.with_residual
        self.activate = block.depthwise.activate if block.depthwise.with_activation else None
        # What each part has to be multiplied by.
        self.depthwise = _split_depthwise(
            block.depthwise.conv, self.expand.channels, (1 / self.expand.scale, self.expand.factor)
        )
        self.project = _split_projection(block.project.conv, self.expand.channels)
        if ghost and not (self.expand.cheap.with_norm or self.expand.cheap.with_activation):
            merged = merge_convolutions(self.expand.cheap.conv, self.depthwise[1])
            if merged is not None:
                self.expand.cheap, self.depthwise[1] = nn.Identity(), merged

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.with_residual else None
        for part, depthwise, project in zip(
            self.expand(x), self.depthwise, self.project, strict=True
        ):
            part = depthwise(part)
            part = project(part if self.activate is None else self.activate(part))
            y = part if y is None else y + part
        return y


def _split_depthwise(conv: nn.Conv2d, sizes: Sequence[int], factors: Sequence) -> nn.ModuleList:
    # What there is more has no weight.
    extra = sum(sizes) - len(conv.weight)
    weights = functional.pad(conv.weight.detach(), 6 * (0,) + (0, extra)).split(sizes)
    biases = [None] * len(sizes)
    if conv.bias is not None:
        biases = functional.pad(conv.bias.detach(), (0, extra)).split(sizes)
    parts = nn.ModuleList()
    for weight, bias, factor in zip(weights, biases, factors, strict=True):
        part = nn.Conv2d(
            len(weight),
            len(weight),
            conv.kernel_size,
            conv.stride,
            conv.padding,
            groups=len(weight),
        )
        factor = torch.as_tensor(factor, dtype=torch.float64).expand(len(weight))
        scaled = weight.double() * factor[:, None, None, None]
        set_weights(part, scaled.to(weight.dtype), bias)
        parts.append(part)
    return parts


def _split_projection(conv: nn.Conv2d, sizes: Sequence[int]) -> nn.ModuleList:
    parts = nn.ModuleList()
    bias, extra = conv.bias, sum(sizes) - conv.weight.shape[1]
    for weight in functional.pad(conv.weight.detach(), 4 * (0,) + (0, extra)).split(sizes, dim=1):
        part = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None)
        set_weights(part, weight, bias)
        parts.append(part)
        bias = None
    return parts
