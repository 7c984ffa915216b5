"""The configs of docs/detection.md for data of one's own, from the check to a trained detector."""

import ast
import json
import re
import shlex
import shutil
import sys
from xml.etree import ElementTree as ET

import cv2
import pytest
from mmengine.config import Config

import mmhadaptive.engine  # noqa: F401  the names of the configs
from mmhadaptive.engine.launch import load_config, run_arguments
from mmhadaptive.io.user_errors import UserError

from ..paths import DOCS

SECTION = (DOCS / "detection.md").read_text().split("## Your own data\n")[1].split("\n## ")[0]
COCO, VOC = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
(COMMAND,) = re.findall(r"^python tools/(train\.py .*?)^```", SECTION, re.DOTALL | re.MULTILINE)
# The small set has 24 pictures.
BATCH = "train_dataloader.batch_size=8"
# 96x96 instead of 320x320, for one epoch.
SMALL = [
    BATCH,
    "train_dataloader.dataset.pipeline.5.scale=(96,96)",
    "val_dataloader.dataset.pipeline.1.scale=(96,96)",
    *(f"{split}_dataloader.{key}" for split in ("train", "val") for key in ("num_workers=0",)),
    *("train_cfg.max_epochs=1", "train_cfg.val_interval=1"),
    # An epoch leaves low scores.
    *("model.test_cfg.score_thr=0.0", "model.test_cfg.max_per_img=5"),
]


@pytest.fixture(scope="module")
def mine(digits, tmp_path_factory):
    """The small set of digits as one of cats, which are even, and dogs, in both forms."""
    folder = tmp_path_factory.mktemp("own") / "data" / "mine"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for split in ("train", "val"):
        content = json.loads((digits / "annotations" / f"{split}.json").read_text())
        content["categories"] = [dict(id=7, name="cat"), dict(id=3, name="dog")]
        for image in content["images"]:
            name = f"{split}_{image['id']}"
            picture = cv2.imread(str(digits / split / image["file_name"]))
            image["file_name"] = f"JPEGImages/{name}.jpg"
            cv2.imwrite(str(folder / image["file_name"]), picture)
        for annotation in content["annotations"]:
            digit = annotation["category_id"] - 1
            annotation["category_id"] = 3 if digit % 2 else 7
        (folder / f"{split}.json").write_text(json.dumps(content))
        names = [f"{split}_{image['id']}" for image in content["images"]]
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for image, name in zip(content["images"], names, strict=True):
            owned = [each for each in content["annotations"] if each["image_id"] == image["id"]]
            (folder / "Annotations" / f"{name}.xml").write_bytes(as_voc(image, owned))
    return folder


def as_voc(image, annotations):
    root = ET.Element("annotation")
    size = ET.SubElement(root, "size")
    for key in ("width", "height"):
        ET.SubElement(size, key).text = str(image[key])
    for annotation in annotations:
        thing = ET.SubElement(root, "object")
        ET.SubElement(thing, "name").text = {7: "cat", 3: "dog"}[annotation["category_id"]]
        x, y, w, h = annotation["bbox"]
        box = ET.SubElement(thing, "bndbox")
        for key, value in dict(xmin=x + 1, ymin=y + 1, xmax=x + w + 1, ymax=y + h + 1).items():
            ET.SubElement(box, key).text = str(value)
    return ET.tostring(root)


def in_place(text, mine):
    return text.replace("data/mine", str(mine))


@pytest.fixture(scope="module", params=["coco", "voc"])
def config(request, mine):
    path = mine.parent / f"{request.param}.py"
    path.write_text(in_place(dict(coco=COCO, voc=VOC)[request.param], mine))
    return path


def test_six_lines(config):
    assert len(ast.parse(config.read_text()).body) == 6
    cfg = Config.fromfile(config)
    assert cfg.val_evaluator == cfg.test_evaluator
    assert cfg.val_dataloader == cfg.test_dataloader
    assert cfg.model.bbox_head.num_classes == 2


def test_the_start_has_these_lines_on_a_short_schedule():
    (start,) = re.findall(r"```python\n(.*?)```", (DOCS / "start.md").read_text(), re.DOTALL)
    base, lines = start.split("\n", 1)
    assert lines == COCO.split("\n", 1)[1]
    assert base == '_base_ = "mmhadaptive::detection/ssd_hadaptive_s_bccd.py"'


def test_sound_data_pass(config, run_here, capsys):
    run_here("data/check_dataset.py", config, "--cfg-options", BATCH)
    out = capsys.readouterr().out
    assert "32 pictures and their annotations are sound" in out
    counts = {}
    for name in ("cat", "dog"):
        (row,) = re.findall(rf"^\| {name} \| (.*) \|$", out, re.MULTILINE)
        counts[name] = [int(cell) for cell in row.split(" | ")]
    content = json.loads((config.parent / "mine" / "train.json").read_text())
    for name, id in (("cat", 7), ("dog", 3)):
        owned = [each for each in content["annotations"] if each["category_id"] == id]
        assert counts[name][:2] == [len(owned), len({each["image_id"] for each in owned})]


def test_damage_is_one_message(config, mine, run_tool, tmp_path):
    cfg = Config.fromfile(config)
    cfg.dump(tmp_path / "damaged.py")
    shutil.copytree(mine, tmp_path / "mine")
    text = (tmp_path / "damaged.py").read_text().replace(str(mine), str(tmp_path / "mine"))
    (tmp_path / "damaged.py").write_text(text)
    (tmp_path / "mine" / "JPEGImages" / "train_1.jpg").unlink()
    cut = tmp_path / "mine" / "JPEGImages" / "val_2.jpg"
    cut.write_bytes(cut.read_bytes()[:700])
    result = run_tool(
        *("data/check_dataset.py", tmp_path / "damaged.py", "--cfg-options", BATCH), check=False
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    missing, broken = result.stderr.splitlines()[-2:]
    assert missing.endswith(f"1 of 32 pictures are missing: {cut.parent}/train_1.jpg")
    assert f"1 of 32 pictures do not decode: {cut} (image file is truncated" in broken


def test_a_batch_that_nothing_fills_is_refused(config, run_here):
    for script in ("train.py", "data/check_dataset.py"):
        with pytest.raises(UserError, match="24 pictures to train on are less than a batch of 64"):
            run_here(script, config)


def test_samples_are_drawn(config, run_here, tmp_path):
    sheet = tmp_path / "new" / "sheet.png"
    run_here("data/browse_dataset.py", config, "--number", 7, "--out", sheet)
    assert cv2.imread(str(sheet)).shape == (2 * 328, 6 * 328, 3)


def test_six_lines_train_and_evaluate(config, run_tool, tmp_path):
    result = run_tool("train.py", config, "--work-dir", tmp_path, "--cfg-options", *SMALL)
    said = result.stdout + result.stderr
    assert (tmp_path / "epoch_1.pth").exists()
    metrics = dict(
        coco=("coco/bbox_mAP:", "coco/bbox_mIoU:"), voc=("pascal_voc/mAP:", "bbox_mIoU:")
    )
    for metric in metrics[config.stem]:
        assert metric in said, said


def test_options_are_the_six_lines(mine, monkeypatch):
    (mine.parent / "six.py").write_text(in_place(COCO, mine))
    six = Config.fromfile(mine.parent / "six.py")
    words = shlex.split(in_place(COMMAND.replace("\\\n", " "), mine))
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    cfg = load_config(run_arguments("").parse_args())
    assert cfg.work_dir == "work_dirs/mine"
    for key in ("model", "train_dataloader", "val_dataloader", "val_evaluator"):
        assert as_lists(cfg[key]) == as_lists(six[key]), key


def as_lists(value):
    """Without the scope of a config that was named, and with lists in place of tuples."""

    def forget(entries):
        return {key: each for key, each in entries.items() if key != "_scope_"}

    return json.loads(json.dumps(value), object_hook=forget)
