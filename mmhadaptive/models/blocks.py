"""The blocks of which Hadaptive-Net is made, by the rows of an architecture table (Table 9)."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.registry import MODELS
from torch import nn

from mmhadaptive.layers import ach_expansion

CONVOLUTIONAL = {"pointwise": "PointwiseExpansion", "ghost": "GhostExpansion"}


# Where the stride stands in a row; the second entry of every row is its number of channels.
STRIDES = {"conv": 3, "pointwise": 4, "ghost": 4, "ach": 4}


def row_stride(row: Sequence) -> int:
    """The stride of the block that a row of an architecture table describes."""
    return row[STRIDES[row[0]]] if len(row) > STRIDES[row[0]] else 1


def build_block(
    row: Sequence,
    in_channels: int,
    ach_cfg: dict | None = None,
    norm_cfg: dict = dict(type="BN"),
    act_cfg: dict = dict(type="HSwish"),
    with_cp: bool = False,
) -> nn.Module:
    """Build the block that one row of an architecture table describes.

    ======================================================  ==========================
    ``('conv', channels, kernel, stride, activation)``      convolution + BN
    ``('pointwise', channels, expansion, kernel, stride)``  bottleneck, 1x1 convolution
    ``('ghost', channels, expansion, kernel, stride)``      bottleneck, Ghost
    ``('ach', channels, num_selected, kernel)``             bottleneck, cross-Hadamard
    ``('ach', channels, num_selected, kernel, stride)``     the same with a stride
    ``('ach', ..., stride, product_norm)``                  and with this product norm
    ======================================================  ==========================

    A bottleneck is an :class:`~mmhadaptive.layers.AdaptiveBottleneck` with this expansion, whose
    width is ``expansion * in_channels``, rounded. ``activation`` is a name or None,
    ``product_norm`` a name as ``'DySig'``.

    Args:
        row: One of these.
        in_channels: Number of input channels; the second entry of the row is that of the output.
        ach_cfg: Further arguments of the cross-Hadamard layer.
        norm_cfg: Normalisation of every convolution.
        act_cfg: Activation of a bottleneck, and of its expansion by convolutions.
        with_cp: Whether to recompute a bottleneck in backward.

    Raises:
        ValueError: The row is none of these.
    """
    kind, channels, *rest = row
    if kind == "conv":
        kernel_size, stride, activation = rest
        return ConvModule(
            in_channels,
            channels,
            kernel_size,
            stride=stride,
            padding=(kernel_size - 1) // 2,
            norm_cfg=norm_cfg,
            act_cfg=activation and dict(type=activation),
        )
    if kind in CONVOLUTIONAL:
        factor, kernel_size, stride = rest
        width = round(in_channels * factor)
        expansion = dict(type=CONVOLUTIONAL[kind], out_channels=width, act_cfg=act_cfg)
    elif kind == "ach":
        num_selected, kernel_size, *optional = rest
        stride, *norm = optional or [1]
        options = dict(ach_cfg or {})
        if norm:
            options["product_norm_cfg"] = dict(type=norm[0])
        expansion = ach_expansion(in_channels, num_selected, **options)
    else:
        kinds = ", ".join(["conv", *CONVOLUTIONAL])
        raise ValueError(f"a row of an architecture is {kinds} or ach, got {tuple(row)}")
    return MODELS.build(
        dict(
            type="AdaptiveBottleneck",
            expansion=expansion,
            in_channels=in_channels,
            out_channels=channels,
            kernel_size=kernel_size,
            stride=stride,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            with_cp=with_cp,
        )
    )
