"""What evaluates in COCO's way: pycocotools, or packages that do the same faster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation.metrics import coco_metric

from mmhadaptive.optional import needs

# Makes an evaluation with the interface of pycocotools' COCOeval from true objects, detections and
# what is compared, "bbox" or "segm".
Evaluation = Callable[[COCO, COCO, str], object]


def _faster_coco_eval() -> Evaluation:
    with needs("faster_coco_eval", "pip install faster-coco-eval", "backend='faster_coco_eval'"):
        from faster_coco_eval import COCOeval_faster
    return COCOeval_faster


def _hotcoco() -> Evaluation:
    with needs("hotcoco", "pip install hotcoco", "backend='hotcoco'"):
        import hotcoco

    def evaluation(truth: COCO, detections: COCO, kind: str) -> object:
        # It has a data set of its own, and so no init_as_pycocotools, which would replace
        # pycocotools below mmdet's classes.
        own = hotcoco.COCO(truth.dataset)
        return hotcoco.COCOeval(own, own.loadRes(detections.dataset["annotations"]), kind)

    return evaluation


BACKENDS = {
    "pycocotools": lambda: COCOeval,
    "faster_coco_eval": _faster_coco_eval,
    "hotcoco": _hotcoco,
}


def load_backend(name: str) -> Evaluation:
    """The evaluation of a package.

    Raises:
        ValueError: ``name`` is none of :data:`BACKENDS`.
        ImportError: The package is not installed; the message says how to install it.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {name}")
    return BACKENDS[name]()


@contextmanager
def evaluated_by(evaluation: Evaluation) -> Iterator[None]:
    """Within, mmdet's ``CocoMetric`` evaluates with ``evaluation``.

    ``CocoMetric`` takes the class by its name out of its module, and has no argument for another.
    """
    before = coco_metric.COCOeval
    coco_metric.COCOeval = evaluation
    try:
        with warnings.catch_warnings():
            # It warns of what CocoMetric asks for in another way than COCO does.
            warnings.filterwarnings("ignore", "hotcoco: (max_dets|iou_thrs|use_cats)")
            yield
    finally:
        coco_metric.COCOeval = before
