"""COCO evaluation gives the numbers that the COCO API publishes for its fake detections."""

import json

import pytest
import torch
from mmdet.evaluation import CocoMetric

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
    metric = CocoMetric(
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
