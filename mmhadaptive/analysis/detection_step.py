"""What a detector's training step takes beside its network, of mmdet's parts and of ours.

The crop of pictures and the targets and losses of the head, as SSD on COCO has them
(``configs/detection/ssd_hadaptive_s_coco.py``).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from mmengine.structures import InstanceData

from mmhadaptive.io.model_index import FOLDER

from .tables import markdown_table
from .timers import median_times

CONFIG = FOLDER / "configs/detection/ssd_hadaptive_s_coco.py"
#: By name, the parts of a step.
PARTS = {
    "crop": "crop of a picture",
    "loss": "targets, losses and their gradients, a batch",
}


def crop_times(pictures: int, rounds: int) -> dict[str, float]:
    """Seconds of a crop, mean over pictures of 640x480 with 1 to 14 boxes.

    Args:
        pictures: How many there are.
        rounds: Of all pictures with ``mmdet`` and then ``ours``; the median counts.
    """
    from mmdet.structures.bbox import HorizontalBoxes

    cfg = Config.fromfile(CONFIG)
    (options,) = (t for t in cfg.train_pipeline if t.type == "BatchedMinIoURandomCrop")
    with DefaultScope.overwrite_default_scope("mmdet"):
        ours, theirs = (
            TRANSFORMS.build({**options, "type": name})
            for name in (options.type, "MinIoURandomCrop")
        )
    image = np.zeros((480, 640, 3), np.uint8)
    truth = [objects(np.random.default_rng(seed), 480, 640, 80) for seed in range(pictures)]

    def crop_all(transform: Callable[[dict], dict]) -> None:
        for boxes, labels in truth:
            results = dict(img=image, gt_bboxes=HorizontalBoxes(boxes), gt_bboxes_labels=labels)
            transform(results)

    np.random.seed(0)
    seconds = median_times(
        dict(mmdet=lambda: crop_all(theirs), ours=lambda: crop_all(ours)), rounds
    )
    return {name: value / pictures for name, value in seconds.items()}


def loss_times(batch_size: int, size: int, rounds: int) -> dict[str, float]:
    """Seconds of targets, losses and their gradients for the maps of a batch, on the GPU if any.

    Args:
        batch_size: Pictures of the batch, with 1 to 14 boxes each.
        size: Side of the pictures, in pixels.
        rounds: Of ``mmdet`` and then ``ours``; the median counts.
    """
    from mmdet.models.dense_heads import AnchorHead

    cfg = Config.fromfile(CONFIG)
    options = dict(cfg.model.bbox_head, train_cfg=cfg.model.train_cfg, test_cfg=cfg.model.test_cfg)
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = MODELS.build(options).to(get_device())
    generator = torch.Generator().manual_seed(0)
    # As a network gives them at first: about the prior, in channels_last.
    maps = [
        [
            (offset + torch.randn(batch_size, boxes * channels, *2 * (side,), generator=generator))
            .to(get_device(), memory_format=torch.channels_last)
            .requires_grad_()
            for side, boxes in zip(
                (math.ceil(size / stride[0]) for stride in head.prior_generator.strides),
                head.prior_generator.num_base_priors,
                strict=True,
            )
        ]
        for offset, channels in ((math.log(head.prior_prob), head.num_classes), (0.0, 4))
    ]
    truth = []
    for seed in range(batch_size):
        boxes, labels = objects(np.random.default_rng(seed), size, size, head.num_classes)
        parts = dict(bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels))
        truth.append(InstanceData(**parts).to(get_device()))
    metas = batch_size * [dict(img_shape=(size, size), pad_shape=(size, size))]

    def step(loss_by_feat: Callable[..., dict]) -> None:
        losses = loss_by_feat(head, *maps, truth, metas)
        total = sum(losses["loss_cls"]) + sum(losses["loss_bbox"])
        torch.autograd.grad(total, [*maps[0], *maps[1]])

    calls = dict(mmdet=AnchorHead.loss_by_feat, ours=type(head).loss_by_feat)
    return median_times(
        {name: functools.partial(step, function) for name, function in calls.items()}, rounds
    )


def objects(
    rng: np.random.Generator, height: int, width: int, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes x1, y1, x2, y2 ``(k, 4)`` in float32 and classes of 1 to 14 random objects."""
    count = rng.integers(1, 15)
    centers = rng.uniform(0, (width, height), (count, 2))
    extents = rng.uniform(0.02, 0.5, (count, 2)) * (width, height)
    boxes = np.concatenate([centers - extents / 2, centers + extents / 2], axis=1)
    boxes = boxes.clip(0, (width, height, width, height)).astype(np.float32)
    return boxes, rng.integers(0, classes, count)


def step_table(rows: list[dict]) -> str:
    """Times of the parts, each with its ``part``, in milliseconds, in Markdown."""
    lines = [
        [
            PARTS[row["part"]],
            *(_digits(1000 * row[name]) for name in ("mmdet", "ours")),
            f"{row['mmdet'] / row['ours']:.1f}",
        ]
        for row in rows
    ]
    return markdown_table(["milliseconds", "mmdet", "here", "times as fast"], lines)


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
