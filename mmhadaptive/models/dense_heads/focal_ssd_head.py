"""SSD head with sigmoid focal loss (sections 5.4 and A.4 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import AnchorHead
from mmdet.registry import MODELS
from mmengine.model import bias_init_with_prob
from torch import Tensor, nn


@MODELS.register_module()
class FocalSSDHead(AnchorHead):
    """Class scores and box offsets from several maps, one convolution for each map.

    It differs from mmdet's ``SSDHead`` in the loss: sigmoid focal loss over all default boxes
    instead of cross-entropy with hard-negative mining, both losses divided by the number of
    positive boxes (at least one an image). Targets, losses and prediction are those of mmdet's
    :class:`AnchorHead`.

    Args:
        num_classes: Number of classes without background.
        in_channels: Channels of each map.
        anchor_generator: Default boxes, such as ``SSDAnchorGenerator`` of mmdet.
        use_depthwise: Whether each map has a 3x3 depthwise and a 1x1 convolution (SSDLite)
            instead of a 3x3 convolution.
        prior_prob: Initial score of every class in every box (RetinaNet's initialisation).
        loss_cls: Classification loss; a sigmoid loss.
        loss_bbox: Regression loss of the encoded boxes.
        norm_cfg: Normalisation of the depthwise convolutions.
        act_cfg: Activation of the depthwise convolutions.
        init_cfg: Initialization of the weights.
        **kwargs: Those of :class:`AnchorHead`: ``bbox_coder``, ``train_cfg``, ``test_cfg``, ...
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        anchor_generator: dict,
        use_depthwise: bool = True,
        prior_prob: float = 0.01,
        loss_cls: dict = dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25),
        loss_bbox: dict = dict(type="SmoothL1Loss", beta=1.0),
        norm_cfg: dict = dict(type="BN"),
        act_cfg: dict = dict(type="HSwish"),
        init_cfg: dict | list[dict] | None = dict(type="Normal", layer="Conv2d", std=0.01),
        **kwargs,
    ) -> None:
        if not loss_cls.get("use_sigmoid", False):
            raise ValueError(f"FocalSSDHead needs a sigmoid loss, got loss_cls={loss_cls}")
        self.use_depthwise = use_depthwise
        self.prior_prob = prior_prob
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        super().__init__(
            num_classes=num_classes,
            in_channels=in_channels,
            anchor_generator=anchor_generator,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox,
            init_cfg=init_cfg,
            **kwargs,
        )

    def _init_layers(self) -> None:
        num_priors = self.prior_generator.num_base_priors
        if len(self.in_channels) != len(num_priors):
            raise ValueError(
                f"in_channels={tuple(self.in_channels)} and the {len(num_priors)} strides of "
                "anchor_generator must be as many"
            )
        self.cls_convs = nn.ModuleList()
        self.reg_convs = nn.ModuleList()
        for channels, priors in zip(self.in_channels, num_priors, strict=True):
            self.cls_convs.append(self._predictor(channels, priors * self.cls_out_channels))
            self.reg_convs.append(self._predictor(channels, priors * self.bbox_coder.encode_size))

    def _predictor(self, in_channels: int, out_channels: int) -> nn.Sequential:
        if not self.use_depthwise:
            return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        depthwise = ConvModule(
            in_channels,
            in_channels,
            3,
            padding=1,
            groups=in_channels,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
        return nn.Sequential(depthwise, nn.Conv2d(in_channels, out_channels, 1))

    def init_weights(self) -> None:
        super().init_weights()
        for predictor in self.cls_convs:
            nn.init.constant_(predictor[-1].bias, bias_init_with_prob(self.prior_prob))

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Predict from every map.

        Args:
            x: Maps of shape ``(N, in_channels[l], H_l, W_l)``.

        Returns:
            Class logits ``(N, boxes * num_classes, H_l, W_l)`` and box offsets
            ``(N, boxes * 4, H_l, W_l)`` of every map.
        """
        cls_scores = [conv(feature) for feature, conv in zip(x, self.cls_convs, strict=True)]
        bbox_preds = [conv(feature) for feature, conv in zip(x, self.reg_convs, strict=True)]
        return cls_scores, bbox_preds
