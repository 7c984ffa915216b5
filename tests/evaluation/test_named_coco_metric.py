"""COCO evaluation gives the numbers that the COCO API publishes for its fake detections."""

import json
import sys

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import coco_metric
from pycocotools import mask

from mmhadaptive.evaluation import NamedCocoMetric
from mmhadaptive.evaluation.coco_backends import BACKENDS, evaluated_by

AVERAGE_PRECISION = [0.505, 0.697, 0.573, 0.586, 0.519, 0.501]
AVERAGE_RECALL = [0.387, 0.594, 0.595, 0.640, 0.566, 0.564]
# CocoMetric names the recalls after its default of 100, 300 and 1000 boxes.
ITEMS = [
    *("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l"),
    *("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000"),
]
PACKAGES = dict(pycocotools="pycocotools", faster_coco_eval="faster-coco-eval", hotcoco="hotcoco")


@pytest.fixture(params=BACKENDS)
def backend(request):
    pytest.importorskip(request.param, reason=f"{PACKAGES[request.param]} is not installed")
    return request.param


@pytest.fixture
def evaluate(shared_data):
    """Evaluate the detections that the COCO API was published with."""
    folder = shared_data / "coco_eval_ref"
    truth_file = folder / "instances_val2014_100.json"
    truth = json.loads(truth_file.read_text())
    detections = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    categories = sorted(truth["categories"], key=lambda category: category["id"])
    label_of = {category["id"]: i for i, category in enumerate(categories)}
    samples = []
    for image in truth["images"]:
        rows = [row for row in detections if row["image_id"] == image["id"]]
        boxes = torch.tensor([row["bbox"] for row in rows], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([label_of[row["category_id"]] for row in rows], dtype=torch.long)
        scores = torch.tensor([row["score"] for row in rows])
        size = image["height"], image["width"]
        corners = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes.tolist()]
        masks = [mask.frPyObjects(polygon, *size)[0] for polygon in corners]
        samples.append(
            dict(
                img_id=image["id"],
                ori_shape=size,
                pred_instances=dict(bboxes=boxes, scores=scores, labels=labels, masks=masks),
            )
        )

    def figures(**arguments):
        metric = NamedCocoMetric(ann_file=str(truth_file), **arguments)
        metric.dataset_meta = dict(classes=[category["name"] for category in categories])
        metric.process({}, samples)
        return metric.evaluate(size=len(samples))

    return figures


def test_published_numbers(evaluate, backend):
    result = evaluate(backend=backend, metric_items=ITEMS, proposal_nums=(1, 10, 100))
    assert list(result.values()) == pytest.approx(AVERAGE_PRECISION + AVERAGE_RECALL, abs=1e-9)


@pytest.mark.filterwarnings("error:hotcoco")
@pytest.mark.parametrize(
    "arguments",
    [
        dict(classwise=True, mean_iou={}),
        dict(metric="proposal"),
        dict(metric=["bbox", "segm"]),
        dict(iou_thrs=np.array([0.5, 0.6])),
    ],
    ids=["classwise", "proposal", "segm", "iou_thrs"],
)
def test_other_packages_give_the_figures_of_pycocotools(evaluate, backend, arguments):
    first, second = evaluate(**arguments), evaluate(**arguments, backend=backend)
    assert list(first) == list(second)
    assert list(first.values()) == pytest.approx(list(second.values()), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(("score_thr", "iou_thr"), [(0.0, 0.5), (0.7, 0.75)])
def test_mean_iou_is_that_of_the_matches_of_coco(evaluate, shared_data, score_thr, iou_thr):
    """pycocotools matches in the same way; its IoUs and matches, per picture and class."""
    result = evaluate(mean_iou=dict(score_thr=score_thr, iou_thr=iou_thr))
    folder = shared_data / "coco_eval_ref"
    truth = coco_metric.COCO(str(folder / "instances_val2014_100.json"))
    rows = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    # Ours are float32.
    found = truth.loadRes([row for row in rows if np.float32(row["score"]) >= score_thr])
    coco = coco_metric.COCOeval(truth, found, "bbox")
    coco.params.iouThrs, coco.params.maxDets = np.array([iou_thr]), [1000]
    coco.params.areaRng, coco.params.areaRngLbl = [[0, 1e10]], ["all"]
    coco.evaluate()
    ious = []
    for picture in filter(None, coco.evalImgs):
        table = coco.ious[picture["image_id"], picture["category_id"]]
        # Columns of the IoUs are in the order of the file, those of the matches end with crowds.
        order = [row["id"] for row in coco._gts[picture["image_id"], picture["category_id"]]]
        for i, id in enumerate(picture["dtMatches"][0]):
            if id and not truth.anns[int(id)]["iscrowd"]:
                ious.append(table[i][order.index(id)])
    assert len(ious) > 100
    assert result["coco/bbox_mIoU"] == pytest.approx(np.mean(ious), abs=1e-6)


def test_an_unknown_backend():
    with pytest.raises(ValueError, match="one of pycocotools, faster_coco_eval, hotcoco, not fast"):
        NamedCocoMetric(backend="fast")


@pytest.mark.parametrize("name", ["faster_coco_eval", "hotcoco"])
def test_a_backend_that_is_not_installed(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        NamedCocoMetric(backend=name)
    assert f"backend='{name}' needs {name}" in str(caught.value)
    assert f"pip install {PACKAGES[name]}" in str(caught.value)


def test_several_processes_are_those_of_pycocotools(backend):
    if backend == "pycocotools":
        assert NamedCocoMetric(use_mp_eval=True).use_mp_eval
        return
    with pytest.raises(ValueError, match=f"use_mp_eval is for .*, not '{backend}'"):
        NamedCocoMetric(backend=backend, use_mp_eval=True)


def test_mmdet_keeps_its_own_evaluation():
    """Also after one that failed."""
    before = coco_metric.COCOeval
    with pytest.raises(ZeroDivisionError), evaluated_by(lambda *arguments: 1 / 0):
        coco_metric.COCOeval(None, None, "bbox")
    assert coco_metric.COCOeval is before


def test_figures_of_classes_stand_under_their_names(tmp_path):
    """Perfect boxes for one class and none for another, whose ids do not ascend in the file."""
    categories = [dict(id=7, name="cell"), dict(id=9, name="plate"), dict(id=2, name="disk")]
    boxes = {7: [0, 0, 50, 50], 9: [20, 20, 40, 40], 2: [60, 60, 40, 40]}
    truth = dict(
        images=[dict(id=1, file_name="a.png", width=100, height=100)],
        categories=categories,
        annotations=[
            dict(id=i, image_id=1, category_id=category, bbox=box, area=1600, iscrowd=0)
            for i, (category, box) in enumerate(boxes.items(), start=1)
        ],
    )
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    metric = NamedCocoMetric(ann_file=str(tmp_path / "truth.json"), classwise=True)
    metric.dataset_meta = dict(classes=("cell", "plate", "disk"))
    # Labels count the categories in the file's order.
    sample = dict(
        img_id=1,
        ori_shape=(100, 100),
        pred_instances=dict(
            bboxes=torch.tensor([[0.0, 0.0, 50.0, 50.0], [60.0, 60.0, 100.0, 100.0]]),
            scores=torch.tensor([0.9, 0.8]),
            labels=torch.tensor([0, 2]),
        ),
    )
    for _ in range(2):
        metric.process({}, [sample])
        result = metric.evaluate(size=1)
        assert {key: value for key, value in result.items() if key.endswith("_precision")} == {
            "coco/cell_precision": 1.0,
            "coco/plate_precision": 0.0,
            "coco/disk_precision": 1.0,
        }
        assert result["coco/bbox_mAP"] == 0.667
        assert next(iter(result)) == "coco/bbox_mAP"
