"""A cross-Hadamard layer to insert into a network, trained or not."""

from __future__ import annotations

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from .adaptive_cross_hadamard import AdaptiveCrossHadamard


@MODELS.register_module()
class ACHPlugin(BaseModule):
    """``x + project(ach(x))``, where the 1x1 projection starts at zero.

    A fresh plugin thus returns its input, bit for bit, and a network with trained weights keeps
    its results until the first step. It takes the place that mmcv's ``build_plugin_layer`` gives
    to a plugin, as in mmdet's ResNet:

    >>> plugins = [dict(cfg=dict(type='ACHPlugin', num_selected=16),
    ...                 stages=(False, False, True, True), position='after_conv2')]

    Args:
        in_channels: Number ``C`` of channels; ``build_plugin_layer`` passes it.
        num_selected: Number ``k`` of chosen channels, 2 to ``C``.
        stride: Only 1; it is here to refuse any other by name.
        init_cfg: Initialization of the weights but the projection, which is zero in any case.
        **ach_cfg: Further arguments of :class:`AdaptiveCrossHadamard`.

    Shapes:
        ``(N, C, H, W)`` in and out.

    Raises:
        ValueError: ``stride`` is not 1, or ``num_selected`` is out of range.
    """

    _abbr_ = "ach_plugin"

    def __init__(
        self,
        in_channels: int,
        num_selected: int,
        stride: int = 1,
        init_cfg: dict | list[dict] | None = None,
        **ach_cfg,
    ) -> None:
        super().__init__(init_cfg)
        if stride not in (1, (1, 1)):
            raise ValueError(
                f"ACHPlugin keeps the resolution, got stride={stride}: its arguments are "
                "in_channels, num_selected and those of AdaptiveCrossHadamard; where a block has "
                "to have a stride, replace the block by an ACHBottleneck"
            )
        self.ach = AdaptiveCrossHadamard(in_channels, num_selected, **ach_cfg)
        self.project = nn.Conv2d(self.ach.out_channels, in_channels, 1)
        self._zero_projection()

    def _zero_projection(self) -> None:
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def init_weights(self) -> None:
        # The network around it has initialised every convolution by its own rule before.
        fresh = not self.is_init
        super().init_weights()
        if fresh:
            self._zero_projection()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.ach(x))
