"""Hadaptive-Net in timm: after ``import mmhadaptive.timm``, ``timm.create_model('hadaptive_s')``.

``hadaptive_m`` and ``hadaptive_l`` likewise, with ``features_only=True`` too. No weights are
published, so timm refuses ``pretrained=True``; it reads one's own, also those that mmpretrain has
trained, from ``pretrained_cfg_overlay=dict(state_dict=...)``.
"""

from __future__ import annotations

from mmengine.model import initialize
from torch import Tensor, nn

from .layers import AdaptiveBottleneck
from .models.backbones import ARCHITECTURES, HadaptiveNet
from .optional import needs

with needs("timm", "pip install timm", user=__name__):
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    from timm.layers import NormMlpClassifierHead
    from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

__all__ = ["HadaptiveClassifier"]  # timm appends what is registered.


class HadaptiveClassifier(nn.Module):
    """Hadaptive-Net with the head of Table 9, as timm calls its models.

    Feature ``i`` is that of stage ``i``, at stride ``2 ** (i + 1)``; one more, the last, is that of
    the final 1x1 convolution (960 channels, the stride of the last stage). In training the
    temperature follows the gradients after ``mmhadaptive.layers.adapt_temperature(model,
    optimizer)``.

    Args:
        arch: ``'s'``, ``'m'`` or ``'l'``.
        num_classes: Number of classes; 0 leaves the classifier out.
        in_chans: Number of channels of the image.
        drop_rate: Dropout before the classifier.
        global_pool: timm's name of a pooling that keeps the width; ``''`` for none.

    Shapes:
        ``(N, in_chans, H, W)`` to ``(N, num_classes)``.
    """

    def __init__(
        self,
        arch: str,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.3,
        global_pool: str = "avg",
    ) -> None:
        super().__init__()
        num_stages = len(ARCHITECTURES[arch])
        backbone = HadaptiveNet(arch, range(num_stages + 1), in_channels=in_chans)
        initialize(backbone, backbone.init_cfg)  # as init_weights() does, which would log it all
        self.stages = nn.Sequential(*backbone.stages)
        self.feature_info = [
            dict(num_chs=channels, reduction=2 ** min(i + 1, num_stages), module=f"stages.{i}")
            for i, channels in enumerate(backbone.out_channels)
        ]
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_features = backbone.out_channels[-1]
        self.head_hidden_size = 1280
        self.head = NormMlpClassifierHead(
            self.num_features,
            num_classes,
            hidden_size=self.head_hidden_size,
            pool_type=global_pool,
            drop_rate=drop_rate,
            norm_layer=nn.Identity,
            act_layer=nn.Hardswish,
        )

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        for module in self.modules():
            if isinstance(module, AdaptiveBottleneck):
                module.with_cp = enable

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.stages(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def checkpoint_filter_fn(state_dict: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Name the weights of mmpretrain's classifier as timm's; keep those that are so already."""
    names = {
        "backbone.": "",
        "head.layers.0.": "head.pre_logits.",
        "head.layers.1.": "head.",
    }
    for old, new in names.items():
        state_dict = {
            new + key.removeprefix(old) if key.startswith(old) else key: value
            for key, value in state_dict.items()
        }
    return state_dict


def _cfg(pool_size: int = 7) -> dict:
    return dict(
        url="",
        num_classes=1000,
        input_size=(3, 224, 224),
        pool_size=(pool_size, pool_size),
        crop_pct=0.875,
        interpolation="bilinear",
        mean=IMAGENET_DEFAULT_MEAN,
        std=IMAGENET_DEFAULT_STD,
        first_conv="stages.0.0.conv",
        classifier="head.fc",
        license="apache-2.0",
    )


default_cfgs = generate_default_cfgs(
    {
        "hadaptive_s.untrained": _cfg(),
        "hadaptive_m.untrained": _cfg(),
        "hadaptive_l.untrained": _cfg(pool_size=3),
    }
)


def _create(arch: str, pretrained: bool, **kwargs) -> nn.Module:
    return build_model_with_cfg(
        HadaptiveClassifier,
        f"hadaptive_{arch}",
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg=dict(
            out_indices=tuple(range(len(ARCHITECTURES[arch]))), flatten_sequential=True
        ),
        arch=arch,
        **kwargs,
    )


@register_model
def hadaptive_s(pretrained: bool = False, **kwargs) -> nn.Module:
    """Hadaptive-Net-S."""
    return _create("s", pretrained, **kwargs)


@register_model
def hadaptive_m(pretrained: bool = False, **kwargs) -> nn.Module:
    """Hadaptive-Net-M."""
    return _create("m", pretrained, **kwargs)


@register_model
def hadaptive_l(pretrained: bool = False, **kwargs) -> nn.Module:
    """Hadaptive-Net-L."""
    return _create("l", pretrained, **kwargs)
