"""Detections in COCO's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .coco_ids import CocoIds


class CocoPredictions:
    """Collects the detections of pictures as ``images``, ``categories`` and ``annotations``.

    Args:
        ids: Numbers pictures and categories.
        classes: The names of the detector's classes, in the order of its labels.
        score_thr: The lowest score that is kept.
    """

    def __init__(self, ids: CocoIds, classes: Sequence[str], score_thr: float = 0.0) -> None:
        self.ids = ids
        self.score_thr = score_thr
        self.categories = [dict(id=ids.category(name), name=name) for name in classes]
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, path: Path, height: int, width: int, prediction: dict) -> None:
        """Take the detections of one picture.

        Args:
            path: Where the picture lies.
            height: Of the picture, in pixels.
            width: Of the picture, in pixels.
            prediction: Lists of ``labels``, ``scores`` and ``bboxes`` (x1, y1, x2, y2), as mmdet's
                ``DetInferencer`` gives them.
        """
        image = dict(id=self.ids.image(path), file_name=path.name, width=width, height=height)
        self.images.append(image)
        for label, score, (x1, y1, x2, y2) in zip(
            prediction["labels"], prediction["scores"], prediction["bboxes"], strict=True
        ):
            if score < self.score_thr:
                continue
            self.annotations.append(
                dict(
                    id=len(self.annotations) + 1,
                    image_id=image["id"],
                    category_id=self.categories[label]["id"],
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=0,
                    score=score,
                )
            )

    def content(self) -> dict:
        """What the file holds; pycocotools' ``loadRes`` takes its ``annotations``."""
        return dict(images=self.images, categories=self.categories, annotations=self.annotations)
