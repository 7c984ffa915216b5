"""Adaptive bottleneck: expansion, depthwise convolution, projection (section A.3)."""

from __future__ import annotations

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmhadaptive.optional import needs

from . import depthwise_conv  # noqa: F401  registers DepthwiseConv2d
from .expansion import ach_expansion


def _squeeze_excitation(channels: int, ratio: int, divisor: int) -> nn.Module:
    install = "pip install torchvision, of the release that belongs to your torch"
    with needs("torchvision", install, user="se_ratio"):
        from torchvision.ops import SqueezeExcitation

    squeezed = max(divisor, (channels // ratio + divisor // 2) // divisor * divisor)
    return SqueezeExcitation(channels, squeezed, scale_activation=nn.Hardsigmoid)


@MODELS.register_module()
class AdaptiveBottleneck(BaseModule):
    """Expansion, depthwise ``kernel_size`` + BN + activation, 1x1 projection + BN, residual.

    Args:
        expansion: Config of the layer that widens the input; built with ``in_channels`` and
            ``norm_cfg``, it must have an attribute ``out_channels``.
        in_channels: Number of input channels.
        out_channels: Number of output channels. The residual is added where the stride is 1 and
            both numbers agree.
        kernel_size: Size of the depthwise convolution. With a stride an even size takes no padding,
            and without one its padding is at the right and the bottom.
        stride: Stride of the depthwise convolution.
        se_ratio: Reduction of a squeeze-and-excitation after the depthwise convolution, with a
            hard sigmoid, as MobileNetV3's; None for none. It needs torchvision.
        se_divisor: The width of the squeeze is rounded to the nearest multiple of it.
        with_cp: Whether to trade computation for memory by recomputing the block in backward.
        norm_cfg: Normalisation of every convolution.
        act_cfg: Activation after the depthwise convolution.
        init_cfg: Initialization of the weights.

    Shapes:
        ``(N, in_channels, H, W)`` to ``(N, out_channels, H // stride, W // stride)``.
    """

    def __init__(
        self,
        expansion: dict,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        se_ratio: int | None = None,
        se_divisor: int = 1,
        with_cp: bool = False,
        norm_cfg: dict = dict(type="BN"),
        act_cfg: dict = dict(type="HSwish"),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp = with_cp
        self.with_residual = stride == 1 and in_channels == out_channels
        self.expand = MODELS.build(dict(expansion, in_channels=in_channels, norm_cfg=norm_cfg))
        width = self.expand.out_channels
        padding = (kernel_size - 1) // 2
        if stride == 1 and kernel_size % 2 == 0:
            padding_cfg = dict(padding=(padding, padding + 1) * 2, padding_mode="zero")
        else:
            padding_cfg = dict(padding=padding)
        self.depthwise = ConvModule(
            width,
            width,
            kernel_size,
            stride=stride,
            groups=width,
            conv_cfg=dict(type="DepthwiseConv2d"),
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            **padding_cfg,
        )
        self.se = _squeeze_excitation(width, se_ratio, se_divisor) if se_ratio else nn.Identity()
        self.project = ConvModule(width, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def _forward(self, x: Tensor) -> Tensor:
        y = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.with_residual else y

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)


@MODELS.register_module()
class ACHBottleneck(AdaptiveBottleneck):
    """The bottleneck with a cross-Hadamard expansion, to put in the place of another one.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        num_selected: Number ``k`` of chosen channels; None for the smallest one whose expansion
            reaches ``hidden_channels``.
        hidden_channels: Width of the bottleneck that this one replaces.
        kernel_size: Size of the depthwise convolution.
        stride: Stride of the depthwise convolution.
        ach_cfg: Further arguments of :class:`AdaptiveCrossHadamard`.
        **kwargs: Further arguments of :class:`AdaptiveBottleneck`: ``se_ratio``, ``se_divisor``,
            ``with_cp``, ``norm_cfg``, ``act_cfg``, ``init_cfg``.

    Shapes:
        ``(N, in_channels, H, W)`` to ``(N, out_channels, H // stride, W // stride)``.

    Raises:
        ValueError: Neither ``num_selected`` nor ``hidden_channels`` is given, or the width cannot
            be reached.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_selected: int | None = None,
        hidden_channels: int | None = None,
        kernel_size: int = 3,
        stride: int = 1,
        ach_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        expansion = ach_expansion(in_channels, num_selected, hidden_channels, **(ach_cfg or {}))
        super().__init__(expansion, in_channels, out_channels, kernel_size, stride, **kwargs)
