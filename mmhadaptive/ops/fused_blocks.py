"""Chains of inference blocks in one call: convolutions of patches and bottlenecks, folded.

``csrc/core/block_chain_call.h`` says what the numbers and the floats of a chain are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from .arguments import MAX_SELECTED, num_products
from .cross_hadamard_depthwise import cross_hadamard_depthwise, products
from .library import DEVICES

NAME = "mmhadaptive::fused_blocks"
SCHEMA = "(Tensor x, Tensor packed, int[] spec) -> Tensor"
# csrc/core has the same orders and limits.
PANEL = 16
MAX_KERNEL = 7
ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda x: x,
    "relu": functional.relu,
    "hardswish": functional.hardswish,
}
EXPANSIONS = ("cross_hadamard", "ghost", "pointwise", "none")
SELECTIONS = ("eca", "static", "fixed")
# As in the enumeration of csrc/core/cross_hadamard.h.
NORMS = ("none", "softsign", "sigmoid", "algebraic")
Affine = tuple[Tensor, Tensor]  # weight and bias


@dataclass(frozen=True)
class PatchConvolution:
    """A convolution whose kernel is its stride, without padding, and an activation.

    Attributes:
        convolution: ``(out, in, k, k)`` and ``(out,)``.
        activation: A key of ``ACTIVATIONS``.
        planar: Whether it reads NCHW, as only the first block of a chain can; for few channels.
    """

    convolution: Affine
    activation: str | None = None
    planar: bool = False


@dataclass(frozen=True)
class CrossHadamard:
    """An expansion by products of selected channels, ``weight * f(alpha * z_i * z_j) + bias``.

    Attributes:
        selected: Number ``k`` of selected channels.
        selection: ``'eca'``, ``'static'`` or ``'fixed'``.
        scores: The ECA kernel, or static scores; None where it is fixed.
        norm: The name of ``f``, one of ``NORMS``.
        alpha: A tensor of one element.
        affine: Weight and bias of the ``k(k-1)/2`` products.
    """

    selected: int
    selection: str
    scores: Tensor | None
    norm: str
    alpha: Tensor
    affine: Affine


@dataclass(frozen=True)
class Bottleneck:
    """Expansion, depthwise convolution with activation, projection, residual.

    Attributes:
        pointwise: The 1x1 convolution that the expansion begins with, ``(first, in)`` and
            ``(first,)``, or None.
        pointwise_activation: Of it.
        expansion: A :class:`CrossHadamard`, the ``(first, 1, 3, 3)`` and ``(first,)`` of Ghost's
            cheap half, or None.
        depthwise: ``(width, 1, k, k)`` and ``(width,)``.
        stride, padding: Of the depthwise convolution.
        activation: After it.
        project: ``(out, width)`` and ``(out,)``.
        residual: Whether the input is added.
    """

    pointwise: Affine | None
    pointwise_activation: str | None
    expansion: CrossHadamard | Affine | None
    depthwise: Affine
    stride: int
    padding: int
    activation: str | None
    project: Affine
    residual: bool


Block = PatchConvolution | Bottleneck


@dataclass(frozen=True)
class BlockSpec:
    """The numbers that describe a block."""

    block: int
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    padding: int = 0
    activation: int = 0
    residual: int = 0
    planar: int = 0
    expansion: int = 0
    first: int = 0
    second: int = 0
    pointwise: int = 0
    pointwise_activation: int = 0
    selected: int = 0
    selection: int = 0
    eca_kernel: int = 0
    norm: int = 0

    def numbers(self) -> list[int]:
        return [getattr(self, field.name) for field in fields(self)]

    def out_size(self, size: int) -> int:
        """The height or width of the output."""
        return (size + 2 * self.padding - self.kernel) // self.stride + 1


SPEC_NUMBERS = len(fields(BlockSpec))


def fused_blocks(x: Tensor, packed: Tensor, spec: Sequence[int]) -> Tensor:
    """A chain of blocks in one call, for inference.

    The expansion of a bottleneck is never whole in memory: a panel of 16 channels is made, goes
    through the depthwise convolution while it is in the cache, and its result is what the
    projection reads.

    Args:
        x: (N, C, H, W); NCHW or channels_last.
        packed: The parameters, of :func:`pack_blocks`.
        spec: The numbers that describe the blocks, of the same.

    Returns:
        The output of the last block; channels_last where the compiled operator computes it.

    Raises:
        RuntimeError: The numbers, the parameters and x do not belong together.

    The compiled operator is for float32 on the CPU; elsewhere, for other types and where x needs a
    gradient, it is :func:`fused_blocks_reference`.
    """
    if x.dtype != torch.float32 or (x.requires_grad and torch.is_grad_enabled()):
        return fused_blocks_reference(x, packed, spec)
    return torch.ops.mmhadaptive.fused_blocks.default(x, packed, spec)


def fused_blocks_reference(x: Tensor, packed: Tensor, spec: Sequence[int]) -> Tensor:
    """The same in PyTorch's operations, for any type and device."""
    return composed_blocks(x, unpack_blocks(packed.to(x.dtype), spec))


def composed_blocks(x: Tensor, blocks: Sequence[Block]) -> Tensor:
    """The blocks in PyTorch's operations; on CUDA with
    :func:`mmhadaptive.ops.cross_hadamard_depthwise`."""
    for block in blocks:
        x = block_reference(x, block)
    return x


def block_reference(x: Tensor, block: Block) -> Tensor:
    """One block of :func:`composed_blocks`."""
    act = ACTIVATIONS[block.activation]
    if isinstance(block, PatchConvolution):
        weight, bias = block.convolution
        return act(functional.conv2d(x, weight, bias, stride=weight.shape[-1]))
    y = x
    if block.pointwise is not None:
        y = ACTIVATIONS[block.pointwise_activation](_pointwise(y, block.pointwise))
    if isinstance(block.expansion, CrossHadamard):
        given = block.expansion
        index = select(y, given)
        if y.is_cuda and "cuda" in DEVICES:
            y = _depthwise_on_cuda(y, index, block)
            return _projected(x, y, block)
        y = torch.cat([y, products(y, index, given.alpha, *given.affine, given.norm)], dim=1)
    elif block.expansion is not None:
        weight, bias = block.expansion
        y = torch.cat([y, functional.conv2d(y, weight, bias, padding=1, groups=len(weight))], 1)
    weight, bias = block.depthwise
    y = act(functional.conv2d(y, weight, bias, block.stride, block.padding, groups=len(weight)))
    return _projected(x, y, block)


def _depthwise_on_cuda(x: Tensor, index: Tensor, block: Bottleneck) -> Tensor:
    given = block.expansion
    # The operator has its arithmetic's type for all but x.
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    small = (t.to(dtype) for t in (given.alpha, *given.affine, *block.depthwise))
    activation = block.activation or "none"
    return cross_hadamard_depthwise(
        x, index, *small, block.stride, block.padding, given.norm, activation
    )


def _projected(x: Tensor, y: Tensor, block: Bottleneck) -> Tensor:
    y = _pointwise(y, block.project)
    return x + y if block.residual else y


def select(x: Tensor, expansion: CrossHadamard) -> Tensor:
    """The selected channels (N, k) of each image, by rank."""
    if expansion.selection == "fixed":
        return torch.arange(expansion.selected, device=x.device).expand(len(x), -1)
    scores = expansion.scores
    if expansion.selection == "static":
        return scores.topk(expansion.selected).indices.expand(len(x), -1)
    means = x.mean((2, 3))[:, None]
    scores = functional.conv1d(means, scores.view(1, 1, -1), padding=len(scores) // 2)
    return scores[:, 0].topk(expansion.selected, dim=1).indices


def _pointwise(x: Tensor, affine: Affine) -> Tensor:
    return functional.conv2d(x, affine[0][:, :, None, None], affine[1])


def padded(channels: int) -> int:
    """Whole panels of channels."""
    return -(-channels // PANEL) * PANEL


def pack_blocks(blocks: Sequence[Block]) -> tuple[Tensor, list[int]]:
    """What :func:`fused_blocks` is given of blocks: the floats and the numbers.

    Raises:
        ValueError: A block is none that the operator has.
    """
    numbers, floats = [], []
    for at, block in enumerate(blocks):
        if isinstance(block, PatchConvolution):
            spec, tensors = _packed_convolution(block)
        else:
            spec, tensors = _packed_bottleneck(block)
        if spec.planar and at:
            raise ValueError("only the first block of a chain can be planar")
        numbers += spec.numbers()
        floats += tensors
    return torch.cat([t.detach().float().flatten() for t in floats]), numbers


def _packed_convolution(block: PatchConvolution) -> tuple[BlockSpec, list[Tensor]]:
    weight, bias = block.convolution
    out_channels, in_channels, kernel, width = weight.shape
    if kernel != width:
        raise ValueError(f"the kernel must be square, got {kernel}x{width}")
    rows = weight if block.planar else weight.permute(0, 2, 3, 1)
    spec = BlockSpec(
        block=0,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel=kernel,
        stride=kernel,
        activation=list(ACTIVATIONS).index(block.activation),
        planar=int(block.planar),
    )
    return spec, [_panels(rows.flatten(1)), _panels(bias)]


def _packed_bottleneck(block: Bottleneck) -> tuple[BlockSpec, list[Tensor]]:
    tensors, more = [], {}
    depthwise, depthwise_bias = block.depthwise
    project, project_bias = block.project
    second = 0
    kind = "none" if block.pointwise is None else "pointwise"
    if isinstance(block.expansion, CrossHadamard):
        kind, second = "cross_hadamard", num_products(block.expansion.selected)
    elif block.expansion is not None:
        kind, second = "ghost", len(block.expansion[0])
    in_channels = first = len(depthwise) - second
    if block.pointwise is not None:
        weight, bias = block.pointwise
        in_channels = weight.shape[1]
        tensors += [_panels(weight), _panels(bias)]
    if kind == "cross_hadamard":
        expansion = block.expansion
        if not 2 <= expansion.selected <= min(first, MAX_SELECTED):
            raise ValueError(f"{expansion.selected} channels cannot be selected of {first}")
        if expansion.selection != "fixed":
            tensors.append(_panels(expansion.scores.flatten()))
        tensors += [_panels(expansion.alpha.view(1)), *map(_panels, expansion.affine)]
        more = dict(
            selected=expansion.selected,
            selection=SELECTIONS.index(expansion.selection),
            eca_kernel=expansion.scores.numel() if expansion.selection == "eca" else 0,
            norm=NORMS.index(expansion.norm),
        )
    elif kind == "ghost":
        weight, bias = block.expansion
        tensors += [_panels(weight.flatten(1)), _panels(bias)]
    parts = [p for p in (slice(0, first), slice(first, None)) if second or p.start == 0]
    tensors += [_panels(depthwise[part].flatten(1)) for part in parts]
    tensors += [_panels(depthwise_bias[part]) for part in parts]
    # The padding of the first part lies between the two.
    gap = padded(first) - first if second else 0
    columns = [project[:, :first], project.new_zeros(len(project), gap), project[:, first:]]
    tensors += [_panels(torch.cat(columns, dim=1)), _panels(project_bias)]
    spec = BlockSpec(
        block=1,
        in_channels=in_channels,
        out_channels=len(project),
        kernel=depthwise.shape[-1],
        stride=block.stride,
        padding=block.padding,
        activation=list(ACTIVATIONS).index(block.activation),
        residual=int(block.residual),
        expansion=EXPANSIONS.index(kind),
        first=first,
        second=second,
        pointwise=int(block.pointwise is not None),
        pointwise_activation=list(ACTIVATIONS).index(block.pointwise_activation),
        **more,
    )
    return spec, tensors


def _panels(weight: Tensor) -> Tensor:
    """(out, in) or (out,) as panels x in x PANEL."""
    weight = weight if weight.dim() == 2 else weight[:, None]
    out, columns = weight.shape
    weight = functional.pad(weight, (0, 0, 0, padded(out) - out))
    return weight.view(-1, PANEL, columns).transpose(1, 2)


class _Floats:
    """Takes the tensors of a chain one after the other."""

    def __init__(self, packed: Tensor) -> None:
        self.packed = packed
        self.taken = 0

    def take(self, channels: int, columns: int = 1) -> Tensor:
        """(channels, columns)."""
        size = padded(channels) * columns
        part = self.packed[self.taken : self.taken + size]
        self.taken += size
        return part.view(-1, columns, PANEL).transpose(1, 2).reshape(-1, columns)[:channels]

    def vector(self, channels: int) -> Tensor:
        return self.take(channels)[:, 0]

    def affine(self, channels: int, columns: int) -> Affine:
        return self.take(channels, columns), self.vector(channels)


def specs(spec: Sequence[int]) -> Iterator[BlockSpec]:
    """The numbers of each block, by name."""
    if not spec or len(spec) % SPEC_NUMBERS:
        raise RuntimeError(f"spec must have {SPEC_NUMBERS} numbers for every block")
    for at in range(0, len(spec), SPEC_NUMBERS):
        yield BlockSpec(*spec[at : at + SPEC_NUMBERS])


def unpack_blocks(packed: Tensor, spec: Sequence[int]) -> list[Block]:
    """The blocks of which :func:`pack_blocks` made floats and numbers."""
    floats = _Floats(packed)
    blocks = [_unpacked(floats, one) for one in specs(spec)]
    if floats.taken != len(packed):
        raise RuntimeError(
            f"the blocks have {floats.taken} parameters, but there are {len(packed)}"
        )
    return blocks


def _unpacked(floats: _Floats, spec: BlockSpec) -> Block:
    activations, kernel = list(ACTIVATIONS), spec.kernel
    activation = activations[spec.activation]
    if spec.block == 0:
        rows, bias = floats.affine(spec.out_channels, spec.in_channels * kernel**2)
        if spec.planar:
            weight = rows.view(-1, spec.in_channels, kernel, kernel)
        else:
            weight = rows.view(-1, kernel, kernel, spec.in_channels).permute(0, 3, 1, 2)
        return PatchConvolution((weight, bias), activation, bool(spec.planar))
    first, second = spec.first, spec.second
    pointwise = floats.affine(first, spec.in_channels) if spec.pointwise else None
    expansion = None
    if EXPANSIONS[spec.expansion] == "cross_hadamard":
        selection = SELECTIONS[spec.selection]
        scores = None
        if selection != "fixed":
            scores = floats.vector(spec.eca_kernel if selection == "eca" else first)
        alpha = floats.vector(1)
        affine = floats.vector(second), floats.vector(second)
        norm = NORMS[spec.norm]
        expansion = CrossHadamard(spec.selected, selection, scores, norm, alpha, affine)
    elif EXPANSIONS[spec.expansion] == "ghost":
        weight, bias = floats.affine(first, 9)
        expansion = weight.view(-1, 1, 3, 3), bias
    sizes = [first, second] if second else [first]
    weight = torch.cat([floats.take(size, kernel**2) for size in sizes])
    bias = torch.cat([floats.vector(size) for size in sizes])
    columns = padded(first) + second if second else first
    project, project_bias = floats.affine(spec.out_channels, columns)
    project = torch.cat([project[:, :first], project[:, columns - second :][:, :second]], dim=1)
    return Bottleneck(
        pointwise,
        activations[spec.pointwise_activation],
        expansion,
        (weight.view(-1, 1, kernel, kernel), bias),
        spec.stride,
        spec.padding,
        activation,
        (project, project_bias),
        bool(spec.residual),
    )


def _fake(x: Tensor, packed: Tensor, spec: Sequence[int]) -> Tensor:
    channels, height, width = x.shape[1:]
    for block in specs(spec):
        channels = block.out_channels
        height, width = block.out_size(height), block.out_size(width)
    shape = (x.shape[0], channels, height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _composed(x: Tensor, packed: Tensor, spec: Sequence[int]) -> Tensor:
    y = fused_blocks_reference(x, packed, spec)
    return y.contiguous(memory_format=torch.channels_last)


def register() -> None:
    """Give the operator what the compiled library does not hold."""
    if "cpu" not in DEVICES:
        torch.library.define(NAME, SCHEMA)
    torch.library.impl(NAME, "CompositeExplicitAutograd", _composed)
    torch.library.register_fake(NAME, _fake)


register()
