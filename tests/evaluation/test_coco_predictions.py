"""Detections in COCO's format."""

from pathlib import Path

from mmhadaptive.evaluation import CocoIds, CocoPredictions


def test_boxes_scores_and_ids():
    predictions = CocoPredictions(CocoIds(), ("cat", "dog"), score_thr=0.3)
    predictions.add(
        Path("a/1.png"),
        *(60, 80),
        dict(
            labels=[1, 0, 1],
            scores=[0.9, 0.2, 0.3],
            bboxes=[(1, 2, 4, 8), (0, 0, 1, 1), (5, 5, 6, 7)],
        ),
    )
    predictions.add(Path("a/2.png"), 60, 80, dict(labels=[0], scores=[1.0], bboxes=[(0, 0, 2, 2)]))
    content = predictions.content()
    assert content["categories"] == [dict(id=1, name="cat"), dict(id=2, name="dog")]
    assert content["images"] == [
        dict(id=i, file_name=f"{i}.png", width=80, height=60) for i in (1, 2)
    ]
    keys = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "score")
    assert [tuple(each[key] for key in keys) for each in content["annotations"]] == [
        (1, 1, 2, [1, 2, 3, 6], 18, 0, 0.9),
        (2, 1, 2, [5, 5, 1, 2], 2, 0, 0.3),
        (3, 2, 1, [0, 0, 2, 2], 4, 0, 1.0),
    ]
