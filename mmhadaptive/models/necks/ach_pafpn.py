"""A path aggregation network that fuses maps by cross-Hadamard products (section 5.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmhadaptive.layers import ACHBottleneck

# Chosen channels by the width of the neck: with them and one block a fusion, parameters and MACs
# stay below those of CSPNeXtPAFPN of this width with depthwise convolutions.
NUM_SELECTED = {64: 10, 96: 14, 128: 16}


def _enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    """``x`` at the size of the next finer map, by nearest neighbours."""
    # With a factor, exporters that trace know how many channels the result has.
    exact = tuple(size) == (2 * x.shape[-2], 2 * x.shape[-1])
    return F.interpolate(x, **(dict(scale_factor=2) if exact else dict(size=size)), mode="nearest")


class ACHFusion(BaseModule):
    """Fuse a level's map with that of a neighbouring level by products of their channels.

    The bottleneck ``F`` chooses among the channels of both maps, so that a product may be one of
    two levels, and the level's own map is added: ``own + F([other, own])``. Further bottlenecks
    follow with their own residuals.

    Args:
        channels: Channels of each of both maps, and of the result.
        num_selected: Number of chosen channels.
        num_blocks: Number of bottlenecks.
        kernel_size: Of their depthwise convolutions.
        ach_cfg: Further arguments of :class:`~mmhadaptive.layers.AdaptiveCrossHadamard`. Without
            ``pointwise``, the first bottleneck has no 1x1 convolution before the choice, since both
            maps come from one.
        **kwargs: Those of :class:`~mmhadaptive.layers.ACHBottleneck`.

    Shapes:
        Two of ``(N, channels, H, W)`` to one.
    """

    def __init__(
        self,
        channels: int,
        num_selected: int,
        num_blocks: int,
        kernel_size: int,
        ach_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__()
        ach_cfg = ach_cfg or {}
        kwargs.update(num_selected=num_selected, kernel_size=kernel_size)
        self.fuse = ACHBottleneck(
            2 * channels, channels, ach_cfg={"pointwise": False, **ach_cfg}, **kwargs
        )
        self.blocks = nn.Sequential(
            *(
                ACHBottleneck(channels, channels, ach_cfg=ach_cfg, **kwargs)
                for _ in range(num_blocks - 1)
            )
        )

    def forward(self, other: Tensor, own: Tensor) -> Tensor:
        return self.blocks(own + self.fuse(torch.cat([other, own], dim=1)))


@MODELS.register_module()
class ACHPAFPN(BaseModule):
    """Feature pyramid with a path down and one up again, whose fusions expand by products.

    A 1x1 convolution brings every map to ``out_channels``. On the way down a map is enlarged to the
    next finer one (nearest neighbour), on the way up halved by a depthwise 5x5 and a 1x1
    convolution, and each time fused with the map of that level by :class:`ACHFusion`. The
    structure is that of PANet, as in CSPNeXtPAFPN and GhostPAN; the expansions are cross-Hadamard
    layers in the place of convolutions.

    Args:
        in_channels: Channels of the maps, from the finest to the coarsest.
        out_channels: Channels of every output.
        num_selected: Number ``k`` of chosen channels, of all fusions or of each: first those on the
            way down, then those on the way up. None for the number that ``NUM_SELECTED`` has for
            ``out_channels``.
        num_blocks: Bottlenecks of each fusion.
        kernel_size: Size of their depthwise convolutions; odd.
        num_extra_levels: Number of maps after the last one, each half as large as the one before.
        ach_cfg: Further arguments of :class:`~mmhadaptive.layers.AdaptiveCrossHadamard`, such as
            ``dict(selection='static')``.
        norm_cfg: Normalisation of every convolution.
        act_cfg: Activation after depthwise convolutions.
        init_cfg: Initialization of the weights.

    Shapes:
        Maps ``(N, in_channels[l], H_l, W_l)``, each half as large as the one before, rounded up or
        down, to a tuple of ``(N, out_channels, H_l, W_l)``.

    Raises:
        ValueError: An argument is out of its range, or the number of maps is not that of
            ``in_channels``; the message names it.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_selected: int | Sequence[int] | None = None,
        num_blocks: int = 1,
        kernel_size: int = 5,
        num_extra_levels: int = 0,
        ach_cfg: dict | None = None,
        norm_cfg: dict = dict(type="BN"),
        act_cfg: dict = dict(type="HSwish"),
        init_cfg: dict | list[dict] | None = (
            dict(type="Kaiming", layer="Conv2d"),
            dict(type="Constant", val=1, layer="_BatchNorm"),
        ),
    ) -> None:
        super().__init__(list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        if isinstance(in_channels, int) or len(in_channels) < 2 or min(in_channels) < 1:
            raise ValueError(
                f"in_channels must be the channels of at least two maps, got {in_channels}"
            )
        if out_channels < 2:
            raise ValueError(f"out_channels must be at least 2, got {out_channels}")
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, got {num_blocks}")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        if num_extra_levels < 0:
            raise ValueError(f"num_extra_levels must not be negative, got {num_extra_levels}")
        self.in_channels = tuple(in_channels)
        self.out_channels = out_channels
        steps = len(in_channels) - 1
        selected = self._num_selected(num_selected, 2 * steps, out_channels, num_blocks)

        def pointwise(channels: int) -> ConvModule:
            # No activation: as within a cross-Hadamard layer, the choice comes right after it.
            return ConvModule(channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)

        def fusion(number: int) -> ACHFusion:
            return ACHFusion(
                out_channels,
                number,
                num_blocks,
                kernel_size,
                ach_cfg=ach_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        def halving() -> nn.Sequential:
            depthwise = ConvModule(
                out_channels,
                out_channels,
                5,
                stride=2,
                padding=2,
                groups=out_channels,
                conv_cfg=dict(type="DepthwiseConv2d"),
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )
            return nn.Sequential(depthwise, pointwise(out_channels))

        self.laterals = nn.ModuleList(map(pointwise, in_channels))
        self.top_down = nn.ModuleList(map(fusion, selected[:steps]))
        self.downsamples = nn.ModuleList(halving() for _ in range(steps))
        self.bottom_up = nn.ModuleList(map(fusion, selected[steps:]))
        self.extra_levels = nn.ModuleList(halving() for _ in range(num_extra_levels))

    @staticmethod
    def _num_selected(
        given: int | Sequence[int] | None, fusions: int, out_channels: int, num_blocks: int
    ) -> list[int]:
        """Of each fusion, the number of chosen channels."""
        if given is None:
            if out_channels not in NUM_SELECTED:
                raise ValueError(
                    f"out_channels={out_channels} needs num_selected, which is known for "
                    f"{', '.join(map(str, NUM_SELECTED))} only"
                )
            given = NUM_SELECTED[out_channels]
        selected = [given] * fusions if isinstance(given, int) else list(given)
        if len(selected) != fusions:
            raise ValueError(
                f"num_selected must be one number or {fusions}, one for each fusion, got {given}"
            )
        # The first block chooses among the channels of two maps, another among those of one.
        most = out_channels if num_blocks > 1 else 2 * out_channels
        if not all(2 <= number <= most for number in selected):
            raise ValueError(f"num_selected must be between 2 and {most}, got {given}")
        return selected

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if len(inputs) != len(self.in_channels):
            raise ValueError(
                f"in_channels={self.in_channels} are of {len(self.in_channels)} maps, got "
                f"{len(inputs)}"
            )
        maps = [lateral(x) for lateral, x in zip(self.laterals, inputs, strict=True)]
        for i, fuse in zip(range(len(maps) - 2, -1, -1), self.top_down, strict=True):
            maps[i] = fuse(_enlarged(maps[i + 1], maps[i].shape[-2:]), maps[i])
        for i, (halve, fuse) in enumerate(zip(self.downsamples, self.bottom_up, strict=True), 1):
            height, width = maps[i].shape[-2:]
            # Halving rounds up, where a backbone may round down.
            maps[i] = fuse(halve(maps[i - 1])[..., :height, :width], maps[i])
        for halve in self.extra_levels:
            maps.append(halve(maps[-1]))
        return tuple(maps)
