"""mmpretrain's ResNet with the ``plugins`` of mmdet's."""

from __future__ import annotations

from collections.abc import Sequence

import torch.utils.checkpoint as cp
from mmcv.cnn import build_plugin_layer
from mmengine.registry import MODELS
from mmpretrain.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn

POSITIONS = ("after_conv1", "after_conv2", "after_conv3")


class PluginBottleneck(Bottleneck):
    """mmpretrain's bottleneck with plugins after its convolutions.

    Args:
        plugins: Dicts of ``cfg`` and ``position``.
        **kwargs: Arguments of the bottleneck.
    """

    def __init__(
        self, in_channels: int, out_channels: int, plugins: Sequence[dict] = (), **kwargs
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        widths = dict(
            zip(POSITIONS, (self.mid_channels, self.mid_channels, out_channels), strict=True)
        )
        self.plugin_names: dict[str, list[str]] = {position: [] for position in POSITIONS}
        for plugin in plugins:
            cfg = dict(plugin["cfg"])
            position = plugin["position"]
            name, layer = build_plugin_layer(
                cfg, cfg.pop("postfix", ""), in_channels=widths[position]
            )
            if hasattr(self, name):
                raise ValueError(f"two plugins are named {name}: give one a postfix")
            self.add_module(name, layer)
            self.plugin_names[position].append(name)

    def _plug(self, x: Tensor, position: str) -> Tensor:
        for name in self.plugin_names[position]:
            x = getattr(self, name)(x)
        return x

    def _residual(self, x: Tensor) -> Tensor:
        y = self._plug(self.relu(self.norm1(self.conv1(x))), "after_conv1")
        y = self._plug(self.relu(self.norm2(self.conv2(y))), "after_conv2")
        y = self._plug(self.norm3(self.conv3(y)), "after_conv3")
        return self.drop_path(y) + (x if self.downsample is None else self.downsample(x))

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return self.relu(cp.checkpoint(self._residual, x, use_reentrant=False))
        return self.relu(self._residual(x))


@MODELS.register_module()
class PluginResNet(ResNet):
    """mmpretrain's ResNet (50 and deeper) that takes plugins as mmdet's does.

    Args:
        plugins: Dicts of ``cfg``, ``position`` (``after_conv1``, ``after_conv2``,
            ``after_conv3``) and ``stages``, four booleans; all stages without it.
        **kwargs: Arguments of mmpretrain's ResNet.

    Shapes, keys and results without plugins are those of mmpretrain's ResNet.

    Raises:
        ValueError: A position does not exist, or ``stages`` has the wrong length.
    """

    arch_settings = {  # noqa: RUF012  mmpretrain's form
        depth: (PluginBottleneck, blocks)
        for depth, (block, blocks) in ResNet.arch_settings.items()
        if block is Bottleneck
    }

    def __init__(self, depth: int, plugins: Sequence[dict] = (), **kwargs) -> None:
        if depth not in self.arch_settings:
            raise ValueError(
                f"plugins go into bottlenecks, which depths {sorted(self.arch_settings)} have; "
                f"got depth={depth}"
            )
        num_stages = kwargs.get("num_stages", 4)
        for plugin in plugins:
            position = plugin.get("position")
            if position not in POSITIONS:
                raise ValueError(
                    f"position must be one of {', '.join(POSITIONS)}, got {position!r}"
                )
            stages = plugin.get("stages")
            if stages is not None and len(stages) != num_stages:
                raise ValueError(f"stages must have {num_stages} entries, got {tuple(stages)}")
        self._plugins = list(plugins)
        self._stage = 0
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs) -> nn.Module:
        chosen = [
            plugin
            for plugin in self._plugins
            if plugin.get("stages") is None or plugin["stages"][self._stage]
        ]
        self._stage += 1
        return super().make_res_layer(**kwargs, plugins=chosen)
