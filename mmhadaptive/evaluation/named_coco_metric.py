"""COCO's average precision, by class under the name of that class."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class NamedCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` for category ids in any order.

    With ``classwise=True``, ``CocoMetric`` names the columns of COCO's evaluation, which are in the
    order of ascending category ids, in the order of the annotation file; the names are right only
    where the two agree. Here they are right for every file, and the figures of classes follow those
    of the whole set, so that the first one is the mean.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        # In the order of the labels, as every data set reads the file, also after an evaluation.
        self.cat_ids = None
        metrics = super().compute_metrics(results)
        return dict(sorted(metrics.items(), key=lambda item: item[0].endswith("_precision")))

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict:
        files = super().results2json(results, outfile_prefix)
        # Labels have become ids. What follows reads columns, which COCO's evaluation sorts by id.
        self.cat_ids = sorted(self.cat_ids)
        return files
