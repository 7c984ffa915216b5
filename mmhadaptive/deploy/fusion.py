"""Networks for inference in PyTorch: chains of blocks, each chain one operator."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmhadaptive.layers import AdaptiveBottleneck, AdaptiveCrossHadamard, DynamicNorm
from mmhadaptive.layers.channel_scores import ECAScores, StaticScores
from mmhadaptive.layers.expansion import GhostExpansion, PointwiseExpansion
from mmhadaptive.models import HadaptiveNet
from mmhadaptive.ops.fused_blocks import (
    MAX_KERNEL,
    MAX_SELECTED,
    Affine,
    Block,
    Bottleneck,
    CrossHadamard,
    PatchConvolution,
    composed_blocks,
    fused_blocks,
    pack_blocks,
    unpack_blocks,
)

from .folding import fold_norms

ACTIVATIONS = {nn.Identity: None, nn.ReLU: "relu", nn.Hardswish: "hardswish"}
# Below this many input channels a first convolution reads NCHW as it is.
PLANAR_CHANNELS = 16


def fuse(model: nn.Module) -> nn.Module:
    """A copy of ``model`` that computes the same faster, for inference alone.

    Batch normalisations are folded into convolutions. Blocks that follow each other become one
    :class:`FusedBlocks`: every :class:`~mmhadaptive.layers.AdaptiveBottleneck` (cross-Hadamard,
    Ghost or pointwise expansion) and, in a :class:`~mmhadaptive.models.HadaptiveNet` and beside
    bottlenecks in an ``nn.Sequential``, every convolution whose kernel is its stride. The products
    go through the depthwise convolution while they are in the cache.

    Blocks stay as they are, with folded normalisations, that have other layers than these: an
    activation that is none of hard swish, ReLU and none, squeeze-and-excitation, kernels of more
    than 7 pixels.

    Args:
        model: A network, or a whole classifier or detector, in any mode; it is not changed.

    Returns:
        The copy in evaluation mode. Outputs of fused blocks are channels_last.
    """
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    fold_norms(fused)
    for module in list(fused.modules()):
        if isinstance(module, HadaptiveNet):
            _fuse_network(module)
    _fuse_children(fused)
    # What is new among the modules too.
    return fused.eval()


class FusedBlocks(nn.Module):
    """Blocks for inference that follow each other, in one operator.

    On the CPU in float32 it is :func:`mmhadaptive.ops.fused_blocks`. On CUDA the blocks take turns,
    and cross-Hadamard bottlenecks go through :func:`mmhadaptive.ops.cross_hadamard_depthwise`.

    Args:
        blocks: What the operator is to compute.

    Shapes:
        Those of the blocks.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__()
        packed, self.spec = pack_blocks(blocks)
        self.register_buffer("packed", packed)
        self._unpacked: tuple[Tensor, list[Block]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda and not torch.compiler.is_compiling():
            return composed_blocks(x, self._blocks())
        return fused_blocks(x, self.packed, self.spec)

    def _blocks(self) -> list[Block]:
        """The blocks as tensors, made once for the place and the type that the module is in."""
        if self._unpacked is None or self._unpacked[0] is not self.packed:
            self._unpacked = self.packed, unpack_blocks(self.packed, self.spec)
        return self._unpacked[1]

    def extra_repr(self) -> str:
        return f"{len(self.packed)} parameters"


def _fuse_network(network: HadaptiveNet) -> None:
    """All stages between two outputs become one."""
    group: list[Block] = []
    for i, stage in enumerate(network.stages):
        parts = [stage] if isinstance(stage, ConvModule) else list(stage)
        blocks = [_block(part, planar=not (i or at)) for at, part in enumerate(parts)]
        if any(block is None for block in blocks):
            if group:
                network.stages[i - 1] = FusedBlocks(group)
                group = []
            continue
        group += blocks
        network.stages[i] = nn.Identity()
        if i in network.out_indices or i == len(network.stages) - 1:
            network.stages[i] = FusedBlocks(group)
            group = []


def _fuse_children(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Sequential) and type(child) is nn.Sequential:
            _fuse_sequence(child)
        elif isinstance(child, AdaptiveBottleneck):
            block = _block(child)
            if block is not None:
                setattr(module, name, FusedBlocks([block]))
                continue
        _fuse_children(child)


def _fuse_sequence(sequence: nn.Sequential) -> None:
    """Runs of blocks, where one of them is a bottleneck, become one."""
    modules, run = list(sequence), []

    def finish() -> None:
        blocks = [block for _, block in run]
        if any(isinstance(block, Bottleneck) for block in blocks):
            for at, _ in run:
                sequence[at] = nn.Identity()
            sequence[run[-1][0]] = FusedBlocks(blocks)
        run.clear()

    for at, module in enumerate(modules):
        block = _block(module)
        if block is None:
            finish()
        else:
            run.append((at, block))
    finish()


def _block(module: nn.Module, planar: bool = False) -> Block | None:
    """What the operator computes of a module with folded normalisations; None if it cannot."""
    if isinstance(module, AdaptiveBottleneck):
        return _bottleneck(module)
    # Not a subclass, which may do more.
    if type(module) in (ConvModule, PointwiseExpansion):
        return _patch_convolution(module, planar)
    return None


def _patch_convolution(module: ConvModule, planar: bool) -> PatchConvolution | None:
    conv = module.conv
    activation = _activation(module)
    if (
        activation is False
        or not _is_plain(module)
        or conv.groups != 1
        or conv.kernel_size != conv.stride
        or conv.kernel_size[0] != conv.kernel_size[1]
        or conv.padding != (0, 0)
    ):
        return None
    planar = planar and conv.in_channels < PLANAR_CHANNELS
    return PatchConvolution(_affine(conv), activation, planar)


def _bottleneck(module: AdaptiveBottleneck) -> Bottleneck | None:
    depthwise, project = module.depthwise.conv, module.project.conv
    activation = _activation(module.depthwise)
    expanded = _expansion(module.expand)
    kernel, stride, padding = depthwise.kernel_size, depthwise.stride, depthwise.padding
    if (
        type(module).forward is not AdaptiveBottleneck.forward
        or type(module)._forward is not AdaptiveBottleneck._forward
        or expanded is None
        or activation is False
        or not isinstance(module.se, nn.Identity)
        or not (_is_plain(module.depthwise) and _is_plain(module.project))
        or not kernel[0] == kernel[1] <= MAX_KERNEL
        or not stride[0] == stride[1] <= 2
        or (module.with_residual and kernel[0] % 2 == 0)
        or _activation(module.project) is not None
    ):
        return None
    pointwise, pointwise_activation, expansion = expanded
    weight, bias = _affine(project)
    return Bottleneck(
        pointwise,
        pointwise_activation,
        expansion,
        _affine(depthwise),
        stride[0],
        padding[0],
        activation,
        (weight.flatten(1), bias),
        module.with_residual,
    )


def _expansion(
    module: nn.Module,
) -> tuple[Affine | None, str | None, CrossHadamard | Affine | None] | None:
    """The 1x1 convolution, its activation and what follows it; None for what is not known."""
    if type(module) is AdaptiveCrossHadamard:
        products = _products(module)
        if products is None or isinstance(module.pointwise, nn.Identity):
            return None if products is None else (None, None, products)
        pointwise = _pointwise(module.pointwise)
        return None if pointwise is None else (*pointwise, products)
    if type(module) is GhostExpansion:
        pointwise, cheap = _pointwise(module.primary), module.cheap
        if pointwise is None or not _is_plain(cheap) or _activation(cheap) is not None:
            return None
        return *pointwise, _affine(cheap.conv)
    if type(module) is PointwiseExpansion:
        pointwise = _pointwise(module)
        return None if pointwise is None else (*pointwise, None)
    return None


def _pointwise(module: ConvModule) -> tuple[Affine, str | None] | None:
    activation = _activation(module)
    if not _is_plain(module) or activation is False:
        return None
    weight, bias = _affine(module.conv)
    return (weight.flatten(1), bias), activation


def _products(module: AdaptiveCrossHadamard) -> CrossHadamard | None:
    norm, selected = module.product_norm, module.num_selected
    one = torch.ones(1)
    pairs = module.out_channels - module.in_channels
    function, alpha, affine = "none", one, (torch.ones(pairs), torch.zeros(pairs))
    if isinstance(norm, DynamicNorm):
        function, alpha, affine = norm.function, norm.alpha, (norm.weight, norm.bias)
    elif isinstance(norm, _BatchNorm) and norm.running_mean is not None:
        scale = (norm.running_var + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -norm.running_mean * scale
        affine = scale, shift if norm.bias is None else shift + norm.bias
    elif norm is not None:
        return None
    scores = getattr(module, "scores", None)
    known = type(scores) in (ECAScores, StaticScores, type(None))
    if selected > MAX_SELECTED or not known:
        return None
    scores = None if module.selection == "fixed" else scores.weight.flatten()
    return CrossHadamard(selected, module.selection, scores, function, alpha, affine)


def _is_plain(module: ConvModule) -> bool:
    """Whether nothing but a convolution and an activation is left of it."""
    conv = module.conv
    return (
        not module.with_norm
        and not module.with_spectral_norm
        and module.order == ("conv", "norm", "act")
        and type(conv).__name__ in ("Conv2d", "DepthwiseConv2d")
        and conv.dilation == (1, 1)
        and conv.padding_mode == "zeros"
        and not module.with_explicit_padding
    )


def _activation(module: ConvModule) -> str | bool | None:
    """The name of it; False for one that is not known."""
    if not module.with_activation:
        return None
    return ACTIVATIONS.get(type(module.activate), False)


def _affine(conv: nn.Conv2d) -> Affine:
    bias = conv.bias
    return conv.weight, conv.weight.new_zeros(len(conv.weight)) if bias is None else bias
