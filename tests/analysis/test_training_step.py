"""The detectors whose training steps are compared, and the tables of a record."""

import cv2
import numpy as np
import pytest
from mmengine.fileio import dump
from torch import nn

from mmhadaptive.analysis import training_step
from mmhadaptive.layers import DepthwiseConv2d


@pytest.fixture
def pictures(tmp_path):
    """Four pictures with two boxes each, as COCO's folder has them."""
    (tmp_path / "train2017").mkdir()
    images, annotations = [], []
    for number in range(4):
        name = f"{number}.jpg"
        cv2.imwrite(str(tmp_path / "train2017" / name), np.full((120, 160, 3), 40 * number))
        images.append(dict(id=number, file_name=name, width=160, height=120))
        for box in ([10, 20, 60, 50], [80, 10, 70, 90]):
            ids = dict(id=len(annotations) + 1, image_id=number, category_id=1)
            annotations.append(dict(**ids, bbox=box, area=box[2] * box[3], iscrowd=0))
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="person")])
    dump(content, str(tmp_path / "instances_train2017.json"))
    return tmp_path


def test_the_detectors_differ_in_what_they_are_named_for(pictures):
    configs = training_step.configs(str(pictures), batch_size=2)
    names = ("ours", "stock")
    ours, stock = (training_step.Training(configs[name], name == "stock") for name in names)
    crops = [
        [t.type for t in configs[name].train_dataloader.dataset.pipeline if "Crop" in t.type]
        for name in names
    ]
    assert crops == [["BatchedMinIoURandomCrop"], ["MinIoURandomCrop"]]
    kinds = [{type(module) for module in each.model.modules()} for each in (ours, stock)]
    assert [DepthwiseConv2d in each for each in kinds] == [True, False]
    assert nn.Conv2d in kinds[1]
    assert [each.model.bbox_head.batched for each in (ours, stock)] == [True, False]


def test_a_comparison_and_its_tables(pictures, monkeypatch):
    lines = []
    small = training_step.configs(str(pictures), 2)
    small.pop("peer")
    monkeypatch.setattr(training_step, "configs", lambda *_: small)
    rows = training_step.training_steps(str(pictures), 2, 1, lines.append)
    assert len(lines) == 1
    assert [row["detector"] for row in rows] == ["ours", "stock"]
    assert all(set(row["seconds"]) == set(training_step.PHASES) for row in rows)
    assert all(row["images_per_second"] > 0 for row in rows)
    assert all(0 < share < 1 for row in rows for share in row["operators"].values())
    rows = [
        dict(
            detector=name,
            images_per_second=speed,
            seconds=dict.fromkeys(training_step.PHASES, 0.001),
            operators={"aten::mul": part},
        )
        for name, speed, part in (("ours", 30.0, 0.1), ("stock", 15.0, 0.25))
    ]
    assert "| 15.0 | 2.00x | 1 | 1 | 1 | 1 |" in training_step.training_table(rows)
    assert "| `aten::mul` | 10 % | 25 % |" in training_step.operators_table(rows)
