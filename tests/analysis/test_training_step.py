"""The networks whose training steps are compared, and the tables of a record."""

import cv2
import numpy as np
import pytest
import torch
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


@pytest.fixture
def cifar100(tmp_path):
    """Eight pictures as CIFAR-100's files have them."""
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "train.npz", images=images, labels=np.arange(8))
    return tmp_path


def trainings(task, folder):
    """Ours and the stock one."""
    configs = training_step.configs(task, str(folder), batch_size=2)
    return [training_step.Training(configs[name], name == "stock") for name in ("ours", "stock")]


def assert_only_ours_has_our_convolutions(ours, stock):
    kinds = [{type(module) for module in each.model.modules()} for each in (ours, stock)]
    assert [DepthwiseConv2d in each for each in kinds] == [True, False]
    assert nn.Conv2d in kinds[1]


def test_the_detectors_differ_in_what_they_are_named_for(pictures):
    configs = training_step.configs("detection", str(pictures), batch_size=2)
    crops = [
        [t.type for t in configs[name].train_dataloader.dataset.pipeline if "Crop" in t.type]
        for name in ("ours", "stock")
    ]
    assert crops == [["BatchedMinIoURandomCrop"], ["MinIoURandomCrop"]]
    ours, stock = trainings("detection", pictures)
    assert_only_ours_has_our_convolutions(ours, stock)
    assert [each.model.bbox_head.batched for each in (ours, stock)] == [True, False]
    assert [each.format for each in (ours, stock)] == [torch.channels_last] * 2


def test_the_classifiers_differ_in_what_they_are_named_for(cifar100):
    ours, stock = trainings("classification", cifar100)
    assert_only_ours_has_our_convolutions(ours, stock)
    assert [each.format for each in (ours, stock)] == [
        torch.channels_last,
        torch.contiguous_format,
    ]
    kinds = [type(each.loader.dataset).__name__ for each in (ours, stock)]
    assert kinds == ["InMemoryDataset", "CIFAR100Files"]
    # Both see the same size, and the loss of an untrained network.
    seen = []
    for training in (ours, stock):
        training.model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        training.step()
    assert [tuple(images.shape) for images in seen] == [(2, 3, 64, 64)] * 2
    assert abs(seen[0].mean() - seen[1].mean()) < 0.3


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_a_comparison_and_its_tables(task, request, monkeypatch):
    folder = request.getfixturevalue(dict(detection="pictures", classification="cifar100")[task])
    lines = []
    small = training_step.configs(task, str(folder), 2)
    small.pop("peer", None)
    monkeypatch.setattr(training_step, "configs", lambda *_: small)
    rows = training_step.training_steps(task, str(folder), 2, 1, lines.append)
    assert len(lines) == 1
    assert [row["name"] for row in rows] == ["ours", "stock"]
    assert all(set(row["seconds"]) == set(training_step.PHASES) for row in rows)
    assert all(row["images_per_second"] > 0 for row in rows)
    assert all(0 < share < 1 for row in rows for share in row["operators"].values())
    rows = [
        dict(
            name=name,
            images_per_second=speed,
            seconds=dict.fromkeys(training_step.PHASES, 0.001),
            operators={"aten::mul": part},
        )
        for name, speed, part in (("ours", 30.0, 0.1), ("stock", 15.0, 0.25))
    ]
    record = dict(task=task, rows=rows)
    assert "| 15.0 | 2.00x | 1 | 1 | 1 | 1 |" in training_step.training_table(record)
    assert "| `aten::mul` | 10 % | 25 % |" in training_step.operators_table(record)
