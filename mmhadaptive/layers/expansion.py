"""Expansions: the layers that widen the input of a bottleneck.

Each has ``out_channels``, and is built from its config with ``in_channels`` and ``norm_cfg``. The
third of them is :class:`AdaptiveCrossHadamard`, by :func:`ach_expansion`.
"""

from __future__ import annotations

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from . import depthwise_conv  # noqa: F401  registers DepthwiseConv2d
from .adaptive_cross_hadamard import selected_for_width


def ach_expansion(
    in_channels: int,
    num_selected: int | None = None,
    hidden_channels: int | None = None,
    within: bool = False,
    **ach_cfg,
) -> dict:
    """The config of a cross-Hadamard expansion.

    Args:
        in_channels: Number of input channels.
        num_selected: Number ``k`` of chosen channels; None for that of :func:`selected_for_width`.
        hidden_channels: The width to come to, where ``num_selected`` does not tell it.
        within: Whether that is a bound: the width is not to exceed it.
        **ach_cfg: Further arguments of :class:`AdaptiveCrossHadamard`.

    Raises:
        ValueError: Neither is given, or the width cannot be reached.
    """
    if num_selected is None:
        if hidden_channels is None:
            raise ValueError("a cross-Hadamard expansion needs num_selected or hidden_channels")
        num_selected = selected_for_width(in_channels, hidden_channels, within)
    return dict(type="AdaptiveCrossHadamard", num_selected=num_selected, **ach_cfg)


@MODELS.register_module()
class PointwiseExpansion(ConvModule):
    """The expansion of inverted bottlenecks: a 1x1 convolution, normalisation, activation.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        norm_cfg: Normalisation.
        act_cfg: Activation.

    Shapes:
        ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: dict = dict(type="BN"),
        act_cfg: dict = dict(type="HSwish"),
    ) -> None:
        super().__init__(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)


@MODELS.register_module()
class GhostExpansion(BaseModule):
    """Ghost expansion of ratio 2: half of the output by a 1x1, half by a cheap 3x3 depthwise.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels; even.
        norm_cfg: Normalisation of both halves.
        act_cfg: Activation of the first half; the second has none.
        init_cfg: Initialization of the weights.

    Shapes:
        ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: dict = dict(type="BN"),
        act_cfg: dict = dict(type="HSwish"),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if out_channels % 2:
            raise ValueError(f"out_channels must be even, got {out_channels}")
        self.out_channels = out_channels
        half = out_channels // 2
        self.primary = ConvModule(in_channels, half, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.cheap = ConvModule(
            half,
            half,
            3,
            padding=1,
            groups=half,
            conv_cfg=dict(type="DepthwiseConv2d"),
            norm_cfg=norm_cfg,
            act_cfg=None,
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary(x)
        return torch.cat([x, self.cheap(x)], dim=1)
