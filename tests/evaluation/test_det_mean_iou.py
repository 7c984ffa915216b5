"""Mean IoU of matched detections, by cases that are computed by hand."""

import json

import pytest
import torch
from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmhadaptive.engine.launch import build_runner
from mmhadaptive.evaluation import DetMeanIoU, NamedCocoMetric


def boxes(rows, *names):
    """Tensors of rows (x1, y1, x2, y2, label and, where named, score)."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5 + len(names))
    found = dict(bboxes=table[:, :4].float(), labels=table[:, 4].long())
    return found | {name: table[:, 5 + i].float() for i, name in enumerate(names)}


def truth(*rows):
    return boxes(rows)


def found(*rows):
    return boxes(rows, "scores")


# Of a box 0, 0, 10, 10, the lower 9, 8 and 5 tenths have these IoUs; 10 x 10 beside it has none.
NINE, EIGHT, HALF = (0, 0, 10, 9), (0, 0, 10, 8), (0, 0, 10, 5)
WHOLE, BESIDE = (0, 0, 10, 10), (10, 0, 20, 10)


@pytest.mark.parametrize(
    ("truths", "detections", "matches"),
    [
        pytest.param([(*WHOLE, 0)], [(*NINE, 0, 0.9)], [(0, 0.9)], id="one"),
        # The better box has the lower score, and so comes too late.
        pytest.param(
            [(*WHOLE, 0)], [(*NINE, 0, 0.4), (*EIGHT, 0, 0.6)], [(0, 0.8)], id="score first"
        ),
        pytest.param(
            [(*WHOLE, 0)], [(*NINE, 0, 0.5), (*EIGHT, 0, 0.5)], [(0, 0.9)], id="equal scores"
        ),
        # 8 / 9 with the first true box, 8 / 10 with the second: the first is taken, then the
        # second by a box that fits the first better.
        pytest.param(
            [(*NINE, 0), (*WHOLE, 0)],
            [(*EIGHT, 0, 0.9), (*NINE, 0, 0.8)],
            [(0, 8 / 9), (0, 0.9)],
            id="one to one",
        ),
        pytest.param(
            [(*NINE, 0), (*WHOLE, 1)],
            [(*EIGHT, 1, 0.9), (*EIGHT, 0, 0.8), (*WHOLE, 2, 0.7)],
            [(1, 0.8), (0, 8 / 9)],
            id="classes apart",
        ),
        pytest.param([(*WHOLE, 0)], [(*NINE, 0, 0.25), (*EIGHT, 0, 0.5)], [(0, 0.8)], id="score"),
        pytest.param([(*WHOLE, 0)], [(*HALF, 0, 0.5)], [(0, 0.5)], id="least IoU and score"),
        pytest.param([(*WHOLE, 0)], [(0, 0, 10, 4.99, 0, 0.9)], [], id="too little"),
        pytest.param([(*WHOLE, 0)], [(*BESIDE, 0, 0.9)], [], id="apart"),
        pytest.param([(*WHOLE, 0)], [], [], id="nothing found"),
        pytest.param([], [(*WHOLE, 0, 0.9)], [], id="nothing there"),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_matches(truths, detections, matches):
    metric = DetMeanIoU(score_thr=0.5 if matches == [(0, 0.5)] else 0.3)
    result = metric.match(truth(*truths), found(*detections))
    assert [label for label, _ in result] == [label for label, _ in matches]
    assert [iou for _, iou in result] == pytest.approx([iou for _, iou in matches], abs=1e-9)


SAMPLES = [
    (
        [(*WHOLE, 0), (*BESIDE, 1)],
        [(*NINE, 0, 0.9), (*BESIDE, 1, 0.8), (*BESIDE, 0, 0.7), (*WHOLE, 1, 0.1)],
    ),
    ([(*WHOLE, 0)], [(*EIGHT, 0, 0.9)]),
    # In another picture the same box is another one.
    ([(*BESIDE, 2)], []),
]
# 0.9, 1 and 0.8 of three matches.
EXPECTED = dict(bbox_mIoU=0.9, cell_mIoU=0.85, plate_mIoU=1.0, disk_mIoU=-1.0)


def test_the_mean_is_over_all_matches_of_all_pictures():
    with DefaultScope.overwrite_default_scope("mmdet"):
        metric = METRICS.build(dict(type="DetMeanIoU", classwise=True))
    metric.dataset_meta = dict(classes=("cell", "plate", "disk"))
    for truths, detections in SAMPLES:
        parts = dict(gt_instances=truth(*truths), pred_instances=found(*detections))
        metric.process({}, [parts])
    expected = {f"det/{key}": value for key, value in EXPECTED.items()}
    assert metric.evaluate(size=3) == pytest.approx(expected, abs=1e-9)


def test_beside_average_precision(tmp_path):
    """Out of an annotation file, whose ids do not ascend; a crowd matches nothing."""
    ids = (7, 9, 2)
    rows = [
        (picture, box, 0) for picture, (truths, _) in enumerate(SAMPLES, start=1) for box in truths
    ]
    rows.append((2, (*EIGHT, 0), 1))
    content = dict(
        images=[dict(id=i, file_name=f"{i}.png", width=20, height=10) for i in (1, 2, 3)],
        categories=[
            dict(id=id, name=name) for id, name in zip(ids, ("cell", "plate", "disk"), strict=True)
        ],
        annotations=[
            dict(
                id=i,
                image_id=picture,
                category_id=ids[label],
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                iscrowd=crowd,
            )
            for i, (picture, (x1, y1, x2, y2, label), crowd) in enumerate(rows, start=1)
        ],
    )
    file = tmp_path / "truth.json"
    file.write_text(json.dumps(content))
    metric = NamedCocoMetric(
        ann_file=str(file), classwise=True, mean_iou=dict(score_thr=0.3, iou_thr=0.5)
    )
    metric.dataset_meta = dict(classes=("cell", "plate", "disk"))
    for id, (_, detections) in enumerate(SAMPLES, start=1):
        metric.process({}, [dict(img_id=id, ori_shape=(10, 20), pred_instances=found(*detections))])
    result = metric.evaluate(size=3)
    expected = {f"coco/{key}": value for key, value in EXPECTED.items()}
    assert {key: result[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    # The first is what the best checkpoint follows; those of the whole set come before classes.
    keys = list(result)
    assert keys[0] == "coco/bbox_mAP"
    assert keys[6] == "coco/bbox_mIoU"
    assert all("bbox" not in key for key in keys[7:])


def test_a_runner_hands_over_boxes_of_the_original_picture(digits_config, tmp_path):
    """Those of the data samples are those of the annotation file."""
    cfg = Config.fromfile(digits_config)
    thresholds = dict(score_thr=0.0, iou_thr=0.05)
    cfg.model.test_cfg.update(max_per_img=100, nms=dict(type="nms", iou_threshold=0.9))
    # Half the size of the pictures.
    cfg.test_dataloader.dataset.pipeline[1].scale = (48, 48)
    cfg.test_evaluator.mean_iou = thresholds
    cfg.test_evaluator = [cfg.test_evaluator, dict(type="DetMeanIoU", classwise=True, **thresholds)]
    cfg.merge_from_dict(dict(work_dir=str(tmp_path), launcher="none", experiment_name="mIoU"))
    runner = build_runner(cfg)
    metrics = runner.test()
    names = [key.partition("/")[2] for key in metrics if key.startswith("det/")]
    assert len(names) == 11
    assert metrics["coco/bbox_mIoU"] > 0.05
    assert [metrics[f"det/{name}"] for name in names] == pytest.approx(
        [metrics[f"coco/{name}"] for name in names], abs=1e-6
    )


def test_thresholds_and_boxes_that_are_missing():
    with pytest.raises(ValueError, match="iou_thr must be between 0 and 1, not 50"):
        DetMeanIoU(iou_thr=50)
    sample = dict(img_path="a.png", pred_instances=found((*WHOLE, 0, 0.9)))
    with pytest.raises(ValueError, match=r"a\.png comes without its boxes.*LoadAnnotations"):
        DetMeanIoU().process({}, [sample])
