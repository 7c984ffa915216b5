"""COCO evaluation gives the numbers that the COCO API publishes for its fake detections."""

import json

import pytest
import torch

from mmhadaptive.evaluation import NamedCocoMetric

AVERAGE_PRECISION = [0.505, 0.697, 0.573, 0.586, 0.519, 0.501]
AVERAGE_RECALL = [0.387, 0.594, 0.595, 0.640, 0.566, 0.564]


def test_published_numbers(shared_data):
    folder = shared_data / "coco_eval_ref"
    truth_file = folder / "instances_val2014_100.json"
    truth = json.loads(truth_file.read_text())
    detections = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    categories = sorted(truth["categories"], key=lambda category: category["id"])
    label_of = {category["id"]: i for i, category in enumerate(categories)}

    # CocoMetric names the recalls after its default of 100, 300 and 1000 boxes.
    metric = NamedCocoMetric(
        ann_file=str(truth_file),
        metric_items=[
            *("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l"),
            *("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000"),
        ],
        proposal_nums=(1, 10, 100),
    )
    metric.dataset_meta = dict(classes=[category["name"] for category in categories])
    for image in truth["images"]:
        rows = [row for row in detections if row["image_id"] == image["id"]]
        boxes = torch.tensor([row["bbox"] for row in rows], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        metric.process(
            {},
            [
                dict(
                    img_id=image["id"],
                    ori_shape=(image["height"], image["width"]),
                    pred_instances=dict(
                        bboxes=boxes,
                        scores=torch.tensor([row["score"] for row in rows]),
                        labels=torch.tensor(
                            [label_of[row["category_id"]] for row in rows], dtype=torch.long
                        ),
                    ),
                )
            ],
        )
    result = metric.evaluate(size=len(truth["images"]))
    assert list(result.values()) == pytest.approx(AVERAGE_PRECISION + AVERAGE_RECALL, abs=1e-9)


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
