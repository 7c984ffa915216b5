"""The focal SSD head: losses by hand, default boxes, prediction."""

import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

import mmhadaptive.models.dense_heads  # noqa: F401

TRAIN_CFG = ConfigDict(
    assigner=dict(
        type="MaxIoUAssigner",
        pos_iou_thr=0.5,
        neg_iou_thr=0.5,
        min_pos_iou=0.0,
        ignore_iof_thr=-1,
        gt_max_assign_all=False,
    ),
    sampler=dict(type="PseudoSampler"),
    allowed_border=-1,
    pos_weight=-1,
    debug=False,
)
TEST_CFG = ConfigDict(
    nms_pre=100, nms=dict(type="nms", iou_threshold=0.45), score_thr=0.02, max_per_img=10
)
META = dict(img_shape=(64, 64), pad_shape=(64, 64), scale_factor=(1.0, 1.0), ori_shape=(64, 64))


def build_head(**options):
    defaults = dict(
        type="FocalSSDHead",
        _scope_="mmdet",
        num_classes=2,
        in_channels=(4, 6),
        anchor_generator=dict(
            type="SSDAnchorGenerator",
            scale_major=False,
            strides=[16, 32],
            ratios=[[2, 3]] * 2,
            min_sizes=[16, 32],
            max_sizes=[32, 64],
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=(0.1, 0.1, 0.2, 0.2)),
        train_cfg=TRAIN_CFG,
        test_cfg=TEST_CFG,
    )
    return MODELS.build({**defaults, **options})


def ground_truth(*boxes, labels):
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )


def maps(head, batch=1):
    """Zero logits and offsets for maps of 4x4 and 2x2 cells."""
    cls_scores = [torch.zeros(batch, 12, size, size) for size in (4, 2)]
    bbox_preds = [torch.zeros(batch, 24, size, size) for size in (4, 2)]
    return cls_scores, bbox_preds


def test_six_default_boxes_a_location():
    boxes = build_head().prior_generator.base_anchors[0]
    sizes = torch.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]], dim=1)
    ratios = sizes[:, 1] / sizes[:, 0]
    expected = torch.tensor([1.0, 1.0, 1 / 2, 2.0, 1 / 3, 3.0])
    torch.testing.assert_close(ratios, expected)
    torch.testing.assert_close(sizes[0], torch.tensor([16.0, 16.0]))
    # The extra square is the geometric mean of this map's size and the next.
    torch.testing.assert_close(sizes[1], torch.full((2,), math.sqrt(16 * 32)))
    torch.testing.assert_close(sizes[2:].prod(1), torch.full((4,), 256.0))


def test_losses_by_hand():
    """One object equal to the 16-pixel square of the first cell, shifted by 2 pixels."""
    head = build_head()
    gt = ground_truth([2.0, 0.0, 18.0, 16.0], labels=[1])
    cls_scores, bbox_preds = maps(head)
    losses = head.loss_by_feat(cls_scores, bbox_preds, [gt], [META])

    # The boxes of IoU >= 0.5 with the object, enumerated independently of the assigner.
    positives = []
    for size, stride, cells in ((16, 16, 4), (32, 32, 2)):
        extra = math.sqrt(size * size * 2)
        for y in range(cells):
            for x in range(cells):
                for w, h in [
                    (size, size),
                    (extra, extra),
                    *[(size / math.sqrt(r), size * math.sqrt(r)) for r in (1 / 2, 2, 1 / 3, 3)],
                ]:
                    cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                    iw = min(cx + w / 2, 18) - max(cx - w / 2, 2)
                    ih = min(cy + h / 2, 16) - max(cy - h / 2, 0)
                    inter = max(iw, 0) * max(ih, 0)
                    if inter / (w * h + 256 - inter) >= 0.5:
                        positives.append((cx, cy, w, h))
    assert len(positives) > 1
    total = 6 * (16 + 4)

    # All scores are 1/2: a positive entry costs alpha (1/2)^2 ln 2, a negative (1 - alpha) ...
    entry = 0.25 * math.log(2)
    focal = len(positives) * 0.25 * entry + (2 * total - len(positives)) * 0.75 * entry
    torch.testing.assert_close(
        sum(losses["loss_cls"]).item(), focal / len(positives), rtol=1e-5, atol=1e-6
    )

    smooth_l1 = 0.0
    for cx, cy, w, h in positives:
        offsets = [
            (10 - cx) / w / 0.1,
            (8 - cy) / h / 0.1,
            math.log(16 / w) / 0.2,
            math.log(16 / h) / 0.2,
        ]
        smooth_l1 += sum(d * d / 2 if abs(d) < 1 else abs(d) - 0.5 for d in offsets)
    torch.testing.assert_close(
        sum(losses["loss_bbox"]).item(), smooth_l1 / len(positives), rtol=1e-5, atol=1e-6
    )


def test_empty_ground_truth_gives_finite_losses():
    head = build_head()
    cls_scores, bbox_preds = maps(head, batch=2)
    for tensor in (*cls_scores, *bbox_preds):
        tensor.requires_grad_()
    empty = ground_truth(labels=[])
    losses = head.loss_by_feat(cls_scores, bbox_preds, [empty, empty], [META, META])
    total = sum(losses["loss_cls"]) + sum(losses["loss_bbox"])
    assert total.isfinite()
    assert sum(losses["loss_bbox"]) == 0
    total.backward()
    assert all(t.grad.isfinite().all() for t in cls_scores)


def test_prediction_finds_what_the_maps_say():
    head = build_head().eval()
    cls_scores, bbox_preds = maps(head)
    for scores in cls_scores:
        scores.fill_(-10)
    # Class 1 in the square of 16 pixels of the cell in row 1, column 2 of the first map.
    cls_scores[0][0, 1, 1, 2] = 5.0
    result = head.predict_by_feat(cls_scores, bbox_preds, batch_img_metas=[META])[0]
    assert result.labels.tolist() == [1]
    torch.testing.assert_close(result.scores, torch.sigmoid(torch.tensor([5.0])))
    torch.testing.assert_close(result.bboxes, torch.tensor([[32.0, 16.0, 48.0, 32.0]]))


@pytest.mark.parametrize("use_depthwise", [True, False])
def test_initial_scores_are_the_prior(use_depthwise):
    head = build_head(use_depthwise=use_depthwise, prior_prob=0.02)
    head.init_weights()
    cls_scores, bbox_preds = head((torch.zeros(1, 4, 4, 4), torch.zeros(1, 6, 2, 2)))
    for scores in cls_scores:
        torch.testing.assert_close(scores.sigmoid(), torch.full_like(scores, 0.02))
    assert [tuple(t.shape) for t in bbox_preds] == [(1, 24, 4, 4), (1, 24, 2, 2)]


def test_wrong_arguments():
    with pytest.raises(ValueError, match="sigmoid loss"):
        build_head(loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False))
    with pytest.raises(ValueError, match="must be as many"):
        MODELS.build(
            dict(
                type="FocalSSDHead",
                _scope_="mmdet",
                num_classes=2,
                in_channels=(4,),
                anchor_generator=dict(
                    type="SSDAnchorGenerator",
                    strides=[16, 32],
                    ratios=[[2, 3]] * 2,
                    min_sizes=[16, 32],
                    max_sizes=[32, 64],
                ),
            )
        )
