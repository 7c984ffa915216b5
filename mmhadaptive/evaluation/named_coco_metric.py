"""COCO's average precision, by class under the name of that class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from torch import Tensor

from .coco_backends import evaluated_by, load_backend
from .det_mean_iou import DetMeanIoU


@METRICS.register_module()
class NamedCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` for category ids in any order, with a choice of what evaluates.

    With ``classwise=True``, ``CocoMetric`` names the columns of COCO's evaluation, which are in the
    order of ascending category ids, in the order of the annotation file; the names are right only
    where the two agree. Here they are right for every file, and the figures of classes follow those
    of the whole set, so that the first one is the mean.

    Args:
        args: Those of ``CocoMetric``.
        backend: ``'pycocotools'``, or ``'faster_coco_eval'`` or ``'hotcoco'``, which give the same
            figures in less time and are packages of their own.
        mean_iou: Thresholds of :class:`DetMeanIoU`, ``dict(score_thr=0.3, iou_thr=0.5)``; its value
            ``coco/bbox_mIoU``, and with ``classwise`` those of the classes, stand beside average
            precision. By default there is none.
        kwargs: Those of ``CocoMetric``.

    Raises:
        ImportError: The package of ``backend`` is not installed.
        ValueError: ``backend`` is unknown, or another than pycocotools with ``use_mp_eval``, which
            is pycocotools on several processes.
    """

    def __init__(
        self,
        *args,
        backend: str = "pycocotools",
        mean_iou: dict[str, float] | None = None,
        **kwargs,
    ) -> None:
        self.evaluation = load_backend(backend)
        super().__init__(*args, **kwargs)
        if self.use_mp_eval and backend != "pycocotools":
            raise ValueError(f"use_mp_eval is for backend='pycocotools', not {backend!r}")
        self.mean_iou = None
        if mean_iou is not None:
            self.mean_iou = DetMeanIoU(**mean_iou, classwise=self.classwise)

    def compute_metrics(self, results: list) -> dict[str, float]:
        # In the order of the labels, as every data set reads the file, also after an evaluation.
        self.cat_ids = None
        with evaluated_by(self.evaluation):
            metrics = super().compute_metrics(results)
        # Where the results are only written to a file, there is none.
        if metrics and self.mean_iou is not None:
            metrics.update(self._mean_iou([found for _, found in results]))
        total = {key for key in metrics if not key.endswith(("_precision", "_mIoU"))}
        total.add("bbox_mIoU")
        return dict(sorted(metrics.items(), key=lambda item: item[0] not in total))

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict:
        files = super().results2json(results, outfile_prefix)
        # Labels have become ids. What follows reads columns, which COCO's evaluation sorts by id.
        self.cat_ids = sorted(self.cat_ids)
        return files

    def _mean_iou(self, results: Sequence[dict]) -> dict[str, float]:
        self.mean_iou.dataset_meta = self.dataset_meta
        ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta["classes"])
        label_of = {id: label for label, id in enumerate(ids)}
        matches = []
        for result in results:
            arrays = {key: result[key] for key in ("bboxes", "scores", "labels")}
            found = {key: torch.as_tensor(array) for key, array in arrays.items()}
            matches.append(self.mean_iou.match(self._truth(result["img_id"], label_of), found))
        return self.mean_iou.compute_metrics(matches)

    def _truth(self, image: int, label_of: dict[int, int]) -> dict[str, Tensor]:
        """The boxes of a picture that are no crowds."""
        rows = self._coco_api.load_anns(
            self._coco_api.get_ann_ids(img_ids=[image], cat_ids=list(label_of), iscrowd=False)
        )
        boxes = torch.tensor([row["bbox"] for row in rows], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = [label_of[row["category_id"]] for row in rows]
        return dict(bboxes=boxes, labels=torch.tensor(labels, dtype=torch.long))
