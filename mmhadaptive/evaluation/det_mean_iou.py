"""Mean IoU of the detections that match a box of their class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.registry import METRICS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.evaluator import BaseMetric
from torch import Tensor


@METRICS.register_module()
class DetMeanIoU(BaseMetric):
    """How well the boxes of the found objects fit.

    In each picture, and for each class, detections with a score of ``score_thr`` or more take
    turns, the highest score first. Each matches the box of its class with which it has the largest
    IoU among those that no other has matched, if that IoU is ``iou_thr`` or more. With the matches
    ``M`` of all pictures::

        mIoU = sum(IoU(m) for m in M) / |M|

    It weights each match alike, whatever its class. Objects that are missed and detections of
    nothing do not enter it: it tells how precise the boxes are, not how many are found, which is
    what average precision adds. Crowds and other boxes to ignore are no boxes to match. Without a
    match the value is -1, as in COCO's evaluation.

    The true boxes are ``gt_instances`` of the data samples, in the coordinates of the original
    picture: a test pipeline has ``LoadAnnotations`` after ``Resize``, as mmdet's own have. Values
    are ``det/bbox_mIoU``, from 0 to 1, and with ``classwise`` ``det/NAME_mIoU`` for every class.

    Args:
        score_thr: The lowest score that counts.
        iou_thr: The lowest IoU of a match.
        classwise: Whether to give the values of the classes, too.
        kwargs: ``collect_device`` and ``prefix`` of mmengine's ``BaseMetric``.

    Raises:
        ValueError: A threshold is not between 0 and 1.
    """

    default_prefix = "det"

    def __init__(
        self, score_thr: float = 0.3, iou_thr: float = 0.5, classwise: bool = False, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("score_thr", score_thr), ("iou_thr", iou_thr)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {value}")
        self.score_thr = score_thr
        self.iou_thr = iou_thr
        self.classwise = classwise

    def match(self, truth: dict[str, Tensor], found: dict[str, Tensor]) -> list[tuple[int, float]]:
        """Match the detections of one picture.

        Args:
            truth: ``bboxes`` (n, 4) as x1, y1, x2, y2, and ``labels`` (n,).
            found: The same of the detections, and their ``scores``.

        Returns:
            Of each match, the label and the IoU.
        """
        # Equal scores keep their order.
        order = torch.sort(found["scores"], descending=True, stable=True).indices
        order = order[found["scores"][order] >= self.score_thr]
        boxes, labels = found["bboxes"][order].double(), found["labels"][order]
        ious = bbox_overlaps(boxes, truth["bboxes"].double())
        ious[labels[:, None] != truth["labels"]] = -1
        matches = []
        # Without a true box there is no largest IoU.
        for row, label in zip(ious, labels.tolist(), strict=True) if ious.numel() else ():
            iou, column = row.max(dim=0)
            if iou >= self.iou_thr:
                matches.append((label, float(iou)))
                ious[:, column] = -1
        return matches

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            if "gt_instances" not in sample:
                raise ValueError(
                    f"{sample.get('img_path', 'a picture')} comes without its boxes: DetMeanIoU "
                    "needs LoadAnnotations in the test pipeline"
                )
            parts = sample["gt_instances"], sample["pred_instances"]
            truth, found = ({key: part[key].cpu() for key in part} for part in parts)
            self.results.append(self.match(truth, found))

    def compute_metrics(self, results: list[list[tuple[int, float]]]) -> dict[str, float]:
        matches = [match for picture in results for match in picture]
        metrics = {"bbox_mIoU": _mean([iou for _, iou in matches])}
        for label, name in enumerate(self.dataset_meta["classes"] if self.classwise else ()):
            metrics[f"{name}_mIoU"] = _mean([iou for own, iou in matches if own == label])
        return metrics


def _mean(ious: list[float]) -> float:
    return sum(ious) / len(ious) if ious else -1.0
