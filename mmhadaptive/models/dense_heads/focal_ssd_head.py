"""SSD head with sigmoid focal loss (sections 5.4 and A.4 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.losses import L1Loss, SmoothL1Loss
from mmdet.models.task_modules import AnchorGenerator, PseudoSampler, SSDAnchorGenerator
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import reduce_mean
from mmengine.model import bias_init_with_prob
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .batched_assignment import assign_batch, can_assign_batch
from .focal_loss_of_map import can_take_map, focal_loss_of_map
from .prior_cache import PriorCache


@MODELS.register_module()
class FocalSSDHead(AnchorHead):
    """Class scores and box offsets from several maps, one convolution for each map.

    It differs from mmdet's ``SSDHead`` in the loss: sigmoid focal loss over all default boxes
    instead of cross-entropy with hard-negative mining, both losses divided by the number of
    positive boxes (at least one an image). Targets, losses and prediction are those of mmdet's
    :class:`AnchorHead`.

    Targets and losses are computed of a whole batch at once where the config allows it
    (:attr:`batched`), with the values and gradients of :class:`AnchorHead`; by its own methods
    otherwise. Several processes then divide by their mean number of positive boxes, so that they
    train as one with the whole batch. ``get_positive_infos`` knows the targets of the latter only.

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
        #: Whether targets and losses are computed of a whole batch at once.
        self.batched = self._can_batch()
        self._priors = PriorCache(self.prior_generator)

    def _can_batch(self) -> bool:
        """Whether the batched loss knows all that the config asks for."""
        steps = ("get_anchors", "get_targets", "_get_targets_single", "loss_by_feat_single")
        return (
            bool(self.train_cfg)
            and can_assign_batch(self.assigner)
            and type(self.sampler) is PseudoSampler
            and type(self.prior_generator) in (AnchorGenerator, SSDAnchorGenerator)
            and not self.prior_generator.use_box_type
            and type(self.loss_bbox) in (L1Loss, SmoothL1Loss)
            and self.loss_bbox.reduction == "mean"
            and not self.reg_decoded_bbox
            and self.train_cfg["allowed_border"] < 0
            # A class derived from this one may have its own.
            and all(getattr(type(self), step) is getattr(AnchorHead, step) for step in steps)
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
            conv_cfg=dict(type="DepthwiseConv2d"),
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

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, list[Tensor]]:
        """Losses of all maps, as of :meth:`AnchorHead.loss_by_feat`.

        Args:
            cls_scores, bbox_preds: What :meth:`forward` gives.
            batch_gt_instances: ``bboxes`` ``(k, 4)`` and ``labels`` ``(k,)`` of each picture.
            batch_img_metas: ``pad_shape`` of each picture; default boxes beyond it do not count.
            batch_gt_instances_ignore: Objects that :attr:`batched` losses have no use for.

        Returns:
            ``loss_cls`` and ``loss_bbox``, each with a scalar of every map.

        Raises:
            ValueError: A picture has no default box.
        """
        if not self.batched:
            return super().loss_by_feat(
                cls_scores,
                bbox_preds,
                batch_gt_instances,
                batch_img_metas,
                batch_gt_instances_ignore,
            )
        sizes = [tuple(scores.shape[-2:]) for scores in cls_scores]
        priors = self._priors(sizes, cls_scores[0].device)
        boxes = [get_box_tensor(instances.bboxes) for instances in batch_gt_instances]
        labels = torch.cat([instances.labels for instances in batch_gt_instances])
        valid = self._valid_flags(sizes, batch_img_metas, priors.device)
        assigned = assign_batch(self.assigner, priors, boxes, valid)
        # The mean over the processes, so that several equal one with the whole batch.
        positives = (assigned > 0).sum(dim=1).clamp(min=1).sum()
        avg_factor = reduce_mean(positives.float()).item()

        # Of each map: what is assigned to (picture, row, column, box), and where an object is.
        shapes = [
            (*size, count)
            for size, count in zip(sizes, self.prior_generator.num_base_priors, strict=True)
        ]
        counts = [math.prod(shape) for shape in shapes]
        grids = [
            part.unflatten(1, shape)
            for part, shape in zip(assigned.split(counts, dim=1), shapes, strict=True)
        ]
        found = [(grid > 0).nonzero(as_tuple=True) for grid in grids]
        own_priors = [
            part.unflatten(0, shape)[at[1:]]
            for part, shape, at in zip(priors.split(counts), shapes, found, strict=True)
        ]
        objects = torch.cat([grid[at] for grid, at in zip(grids, found, strict=True)]) - 1
        targets = self.bbox_coder.encode(torch.cat(own_priors), torch.cat(boxes)[objects])
        each = [len(part) for part in own_priors]
        labels, targets = labels[objects].split(each), targets.split(each)
        losses = [
            self._losses_of_map(*parts, avg_factor)
            for parts in zip(cls_scores, bbox_preds, grids, found, labels, targets, strict=True)
        ]
        losses_cls, losses_bbox = map(list, zip(*losses, strict=True))
        return dict(loss_cls=losses_cls, loss_bbox=losses_bbox)

    def _valid_flags(
        self, sizes: list[tuple[int, int]], metas: list[dict], device: torch.device
    ) -> Tensor | None:
        """Which default boxes lie on their picture, ``(N, A)``; None where all of all do."""
        whole = True
        for meta in metas:
            height, width = meta["pad_shape"][:2]
            for size, stride in zip(sizes, self.prior_generator.strides, strict=True):
                whole &= math.ceil(height / stride[1]) >= size[0]
                whole &= math.ceil(width / stride[0]) >= size[1]
        if whole:
            return None
        flags = [
            torch.cat(self.prior_generator.valid_flags(sizes, meta["pad_shape"], device))
            for meta in metas
        ]
        for meta, each in zip(metas, flags, strict=True):
            if not each.any():
                raise ValueError(
                    f"no default box lies on a picture of pad_shape={meta['pad_shape']}"
                )
        return torch.stack(flags)

    def _losses_of_map(
        self,
        scores: Tensor,
        offsets: Tensor,
        grid: Tensor,
        found: tuple[Tensor, ...],
        labels: Tensor,
        targets: Tensor,
        avg_factor: float,
    ) -> tuple[Tensor, Tensor]:
        image, y, x, box = found
        weight = self.train_cfg["pos_weight"]
        weight = 1.0 if weight <= 0 else weight
        if scores.device.type == "cpu" and can_take_map(self.loss_cls):
            n, v, u, b = (grid < 0).nonzero(as_tuple=True)
            loss_cls = focal_loss_of_map(
                self.loss_cls,
                scores.unflatten(1, (-1, self.cls_out_channels)),
                (image, box, y, x),
                labels,
                weight,
                (n, b, v, u),
                avg_factor,
            )
        else:
            all_labels = torch.full_like(grid, self.num_classes)
            all_labels[found] = labels
            weights = (grid >= 0).float()
            weights[found] = weight
            loss_cls = self.loss_cls(
                scores.permute(0, 2, 3, 1).reshape(-1, self.cls_out_channels),
                all_labels.flatten(),
                weights.flatten(),
                avg_factor=avg_factor,
            )
        # The others have no weight in the sum.
        offsets = offsets.unflatten(1, (-1, self.bbox_coder.encode_size))[image, box, :, y, x]
        return loss_cls, self.loss_bbox(offsets, targets, avg_factor=avg_factor)
