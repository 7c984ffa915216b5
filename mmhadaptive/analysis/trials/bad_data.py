"""Pictures and annotations as they should not be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2

from .bench import Bench, error_line, expect, finite_losses, finite_weights, last_checkpoint

# Pictures without objects are trained on too.
KEEP_EMPTY = "train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=False)))\n"
ONE_CLASS = """
metainfo = dict(classes=("3",))
model = dict(bbox_head=dict(num_classes=1))
train_dataloader = dict(dataset=dict(metainfo=metainfo))
val_dataloader = dict(dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader
"""


def _spoiled(bench: Bench, name: str, change: Callable[[dict], None] | None = None) -> Path:
    """A copy of the pictures whose annotations for the training are changed."""
    folder = bench.folder / f"{name}_digits"
    shutil.copytree(bench.data, folder)
    if change is not None:
        path = folder / "annotations" / "train.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return folder


def _trains(bench: Bench, name: str, data: Path, more: str = "") -> str:
    """Train an epoch, all of which is to be finite."""
    work_dir = bench.folder / name
    bench.train_well(bench.detector(f"{name}_config", data, more), work_dir)
    losses = finite_losses(work_dir)
    finite_weights(last_checkpoint(work_dir))
    return f"{len(losses)} finite losses from {losses[0]:.3g} to {losses[-1]:.3g}, finite weights"


def survive_a_truncated_picture(bench: Bench, suffix: str = ".png") -> str:
    """A picture of the training whose second half is missing."""
    name = f"truncated{suffix.replace('.', '_')}"

    def rename(content: dict) -> None:
        content["images"][5]["file_name"] = f"half{suffix}"

    data = _spoiled(bench, name, rename)
    path = data / "train" / f"half{suffix}"
    cv2.imwrite(str(path), cv2.imread(str(data / "train" / "00006.png")))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    work_dir = bench.folder / name
    message = error_line(bench.train(bench.detector(f"{name}_config", data), work_dir))
    expect(path.name in message, message)
    return message.replace(str(bench.folder), "")


def survive_nan(bench: Bench) -> str:
    """A box with NaN."""

    def change(content: dict) -> None:
        content["annotations"][3]["bbox"][2] = float("nan")

    data = _spoiled(bench, "nan", change)
    work_dir = bench.folder / "nan"
    message = error_line(bench.train(bench.detector("nan_config", data), work_dir))
    expect("NaN" in message and "train.json" in message, message)
    expect(not list(work_dir.glob("*.pth")), "there is a checkpoint")
    return message.replace(str(bench.folder), "")


def survive_negative_and_empty_boxes(bench: Bench) -> str:
    """Every second box is of negative width, of no height, or has no area."""

    def change(content: dict) -> None:
        for annotation in content["annotations"][::2]:
            kind = annotation["id"] % 3
            if kind < 2:
                annotation["bbox"][2 + kind] *= kind - 1
            else:
                annotation["area"] = 0

    return _trains(bench, "empty_boxes", _spoiled(bench, "empty_boxes", change))


def survive_an_empty_picture(bench: Bench) -> str:
    """A picture without objects, which is left out by default and may be trained on."""

    def change(content: dict) -> None:
        content["annotations"] = [each for each in content["annotations"] if each["image_id"] != 2]

    data = _spoiled(bench, "empty_picture", change)
    left_out = _trains(bench, "left_out", data)
    return f"left out: {left_out}; kept: {_trains(bench, 'kept', data, KEEP_EMPTY)}"


def survive_batches_without_objects(bench: Bench) -> str:
    """Only one picture has objects, so most batches have no positive box."""

    def change(content: dict) -> None:
        content["annotations"] = [each for each in content["annotations"] if each["image_id"] == 2]

    data = _spoiled(bench, "no_positive", change)
    return _trains(bench, "no_positive", data, KEEP_EMPTY)


def survive_one_class(bench: Bench) -> str:
    """A detector of one class out of ten."""
    return _trains(bench, "one_class", _spoiled(bench, "one_class"), ONE_CLASS)
