"""Hadaptive-Net (Table 9 and section A.3 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..blocks import build_block

#: A network is a list of stages, and each stage halves the resolution once: stage ``i`` has the
#: output stride ``2 ** (i + 1)``. A stage is a list of rows for :func:`build_block`. The paper
#: prints S (Table 9); M and L are those of the authors' framework.
ARCHITECTURES = {
    "s": [
        [("conv", 32, 2, 2, None)],
        [("conv", 48, 2, 2, "HSwish"), ("conv", 32, 1, 1, "HSwish")],
        [("ghost", 64, 4, 2, 2), ("ghost", 64, 2, 3, 1)],
        [
            *[("ghost", 96, 4, 2, 2), ("ach", 96, 16, 5), ("ach", 96, 16, 5)],
            *[("ghost", 96, 2, 5, 1), ("ach", 96, 16, 5), ("ach", 96, 16, 5)],
        ],
        [("ghost", 128, 6, 2, 2), ("ach", 128, 32, 7), ("ach", 128, 32, 7)],
    ],
    "m": [
        [("conv", 32, 2, 2, None)],
        [("conv", 128, 2, 2, "HSwish"), ("conv", 48, 1, 1, "HSwish")],
        [("ghost", 80, 4, 2, 2), ("ghost", 80, 2, 3, 1)],
        [
            *[("ghost", 128, 6, 2, 2), ("ach", 128, 24, 5), ("ach", 128, 24, 5)],
            *[("ghost", 128, 4, 5, 1), ("ach", 128, 24, 5), ("ach", 128, 24, 5)],
            *[("ghost", 128, 4, 5, 1), ("ach", 128, 24, 5), ("ach", 128, 24, 5)],
        ],
        [("ghost", 192, 6, 2, 2), ("ach", 192, 36, 7), ("ach", 192, 36, 7)],
    ],
    "l": [
        [("conv", 24, 2, 2, None)],
        [("conv", 96, 2, 2, "HSwish"), ("conv", 48, 1, 1, "HSwish")],
        [("ghost", 96, 4, 2, 2), ("ghost", 96, 4, 3, 1)],
        [
            *[("ghost", 192, 4, 2, 2), ("ach", 192, 32, 5), ("ach", 192, 32, 5)],
            *[("ghost", 192, 4, 5, 1), ("ach", 192, 32, 5), ("ach", 192, 32, 5)],
            *[("ghost", 192, 4, 5, 1), ("ach", 192, 32, 5), ("ach", 192, 32, 5)],
            *[("ghost", 192, 4, 5, 1), ("ach", 192, 32, 5), ("ach", 192, 32, 5)],
        ],
        [("ghost", 256, 4, 2, 2), ("ach", 256, 36, 7), ("ach", 256, 36, 7)],
        [("ghost", 256, 4, 2, 2), ("ach", 256, 36, 7), ("ach", 256, 36, 7)],
    ],
}


@MODELS.register_module()
class HadaptiveNet(BaseModule):
    """Hadaptive-Net, a backbone for detection and classification.

    Output ``i`` is that of stage ``i``, at stride ``2 ** (i + 1)``; one more index, the last,
    selects the final 1x1 convolution of the classification network (960 channels, the stride of
    the last stage), which is built only where it is asked for.

    =====  ======================  ============================  =================
    arch   strides of the stages   channels of the stages        final convolution
    =====  ======================  ============================  =================
    s      2, 4, 8, 16, 32         32, 32, 64, 96, 128           index 5
    m      2, 4, 8, 16, 32         32, 48, 80, 128, 192          index 5
    l      2, 4, 8, 16, 32, 64     24, 48, 96, 192, 256, 256     index 6
    =====  ======================  ============================  =================

    Args:
        arch: ``'s'``, ``'m'``, ``'l'``, or a table of the form of ``ARCHITECTURES``, whose rows
            are those of :func:`~mmhadaptive.models.build_block`.
        out_indices: Outputs to return, in ascending order; negative ones count from the final
            convolution, so the default ``(-1,)`` is what a classifier needs.
        final_channels: Width of the final convolution.
        ach_cfg: Arguments for every cross-Hadamard layer, over those of the architecture, such as
            ``dict(selection='static')``; see :class:`AdaptiveCrossHadamard`.
        in_channels: Number of channels of the image.
        frozen_stages: Stages up to this index neither train nor choose at random; -1 for none.
        norm_eval: Whether batch normalisation keeps its running statistics in training.
        with_cp: Whether to recompute bottlenecks in backward, to save memory.
        norm_cfg: Normalisation of every convolution.
        act_cfg: Activation of every bottleneck.
        init_cfg: Initialization of the weights.

    Shapes:
        ``(N, in_channels, H, W)`` to a tuple of ``(N, channels, H // stride, W // stride)``, with
        a division that rounds down at every halving.

    Raises:
        ValueError: The architecture, an index or the input's size is out of range.
    """

    def __init__(
        self,
        arch: str | Sequence[Sequence[Sequence]] = "s",
        out_indices: Sequence[int] = (-1,),
        final_channels: int = 960,
        ach_cfg: dict | None = None,
        in_channels: int = 3,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: dict = dict(type="BN"),
        act_cfg: dict = dict(type="HSwish"),
        init_cfg: dict | list[dict] | None = (
            dict(type="Kaiming", layer="Conv2d"),
            dict(type="Constant", val=1, layer="_BatchNorm"),
        ),
    ) -> None:
        super().__init__(list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        if isinstance(arch, str):
            if arch not in ARCHITECTURES:
                raise ValueError(f"arch must be one of {list(ARCHITECTURES)}, got {arch!r}")
            arch = ARCHITECTURES[arch]
        num_outputs = len(arch) + 1
        self.out_indices = tuple(i + num_outputs if i < 0 else i for i in out_indices)
        if (
            not self.out_indices
            or any(not 0 <= i < num_outputs for i in self.out_indices)
            or list(self.out_indices) != sorted(set(self.out_indices))
        ):
            raise ValueError(
                f"out_indices must ascend and lie in 0..{num_outputs - 1}, got {out_indices}"
            )
        if not -1 <= frozen_stages < len(arch):
            raise ValueError(f"frozen_stages must be in -1..{len(arch) - 1}, got {frozen_stages}")
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        options = dict(ach_cfg=ach_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg, with_cp=with_cp)

        self.stages = nn.ModuleList()
        self.out_channels = []
        channels = in_channels
        # Stages beyond the last output would be weights without gradient.
        for rows in arch[: self.out_indices[-1] + 1]:
            blocks = nn.Sequential()
            for row in rows:
                block, channels = self.build_row(row, channels, **options)
                blocks.append(block)
            self.stages.append(blocks)
            self.out_channels.append(channels)
        if self.out_indices[-1] == len(arch):
            self.stages.append(
                ConvModule(channels, final_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
            )
            self.out_channels.append(final_channels)
        self.out_channels = tuple(self.out_channels[i] for i in self.out_indices)
        self.min_size = 2 ** min(len(arch), len(self.stages))
        self._freeze()

    def build_row(self, row: Sequence, in_channels: int, **options) -> tuple[nn.Module, int]:
        """The block of a row of the architecture, and the number of its output channels."""
        return build_block(row, in_channels, **options), row[1]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        height, width = x.shape[-2:]
        if min(height, width) < self.min_size:
            raise ValueError(
                f"an input of {height}x{width} is smaller than the stride {self.min_size}"
            )
        outputs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        """A backbone that ends earlier leaves out the later stages of a checkpoint."""
        stages = f"{prefix}stages."
        for name in [name for name in state_dict if name.startswith(stages)]:
            if int(name.removeprefix(stages).partition(".")[0]) >= len(self.stages):
                del state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _freeze(self) -> None:
        for stage in self.stages[: self.frozen_stages + 1]:
            stage.eval()
            stage.requires_grad_(False)

    def train(self, mode: bool = True) -> HadaptiveNet:
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
