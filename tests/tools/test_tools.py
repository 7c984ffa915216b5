"""The command-line tools, run as a user runs them."""

import json
import os
import pickle
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..paths import ROOT


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_tool, digits_config):
    """A work dir with one epoch of training on the small set."""
    work_dir = tmp_path_factory.mktemp("work_dirs") / "digits"
    run_tool("train.py", digits_config, "--work-dir", work_dir, "--amp")
    return work_dir


def test_digits_depend_on_the_seed_alone(digits, tmp_path, run_tool):
    again = tmp_path / "again"
    arguments = ["--train", 24, "--val", 8, "--crops", 40, "--size", 96]
    run_tool("data/make_digits.py", "--out-dir", again, *arguments)
    for path in digits.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(digits)).read_bytes(), path
    other = tmp_path / "other"
    run_tool("data/make_digits.py", "--out-dir", other, *arguments, "--seed", 1)
    assert (other / "train" / "00001.png").read_bytes() != (
        digits / "train" / "00001.png"
    ).read_bytes()


def test_digits_are_a_sound_coco_set(digits):
    for split, count in (("train", 24), ("val", 8)):
        coco = COCO(str(digits / "annotations" / f"{split}.json"))
        assert len(coco.imgs) == count
        assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(
            "0123456789"
        )
        assert coco.getCatIds(supNms=["digit"]) == coco.getCatIds()
        for annotation in coco.anns.values():
            x, y, w, h = annotation["bbox"]
            image = coco.imgs[annotation["image_id"]]
            assert w > 0
            assert h > 0
            assert x >= 0
            assert y >= 0
            assert x + w <= image["width"]
            assert y + h <= image["height"]
        pixels = cv2.imread(str(digits / split / "00001.png"))
        assert pixels.shape == (96, 96, 3)


def test_crops_are_a_classification_set(digits):
    for split in ("train", "val"):
        with np.load(digits / "crops" / f"{split}.npz") as crops:
            assert crops["images"].shape == (40, 48, 48, 3)
            assert crops["images"].dtype == np.uint8
            assert set(crops["labels"]) <= set(range(10))
            # Every digit stands out of its texture.
            assert (crops["images"].max((1, 2)) >= 195).all()


def test_training_and_held_out_digits_are_disjoint():
    sys.path.insert(0, str(ROOT / "tools" / "data"))
    try:
        from make_digits import split_digits
    finally:
        sys.path.pop(0)
    train, val = split_digits(np.random.default_rng(0), 1797)
    assert len(train) + len(val) == 1797
    assert not set(train) & set(val)


def test_existing_digits_are_kept(digits, run_tool):
    result = run_tool("data/make_digits.py", "--out-dir", digits, check=False)
    assert result.returncode != 0
    assert f"{digits} exists" in result.stderr


def test_mixed_precision_training_left_a_checkpoint(trained):
    assert (trained / "epoch_1.pth").exists()
    config = (trained / "digits.py").read_text()
    assert "BFloat16OptimWrapper" in config


@pytest.mark.parametrize(
    ("options", "wrapper"),
    [
        (["--amp"], "AmpOptimWrapper" if torch.cuda.is_available() else "BFloat16OptimWrapper"),
        (["--amp", "bfloat16"], "BFloat16OptimWrapper"),
        (["--amp", "float16"], "AmpOptimWrapper"),
    ],
)
def test_the_precision_is_a_flag(options, wrapper, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "config.py", *options])
    script = runpy.run_path(str(ROOT / "tools" / "train.py"))
    assert script["OPTIM_WRAPPERS"][script["parse_args"]().amp] == wrapper


def test_mixed_precision_gradients_have_the_norm_of_full_ones(
    trained, run_tool, tmp_path, digits_config
):
    run_tool("train.py", digits_config, "--work-dir", tmp_path)
    norms = []
    for work_dir in (trained, tmp_path):
        (scalars,) = work_dir.rglob("scalars.json")
        records = [json.loads(line) for line in scalars.read_text().splitlines()]
        norms.append([record["grad_norm"] for record in records if "grad_norm" in record])
    mixed, full = norms
    assert len(full) == 3
    # Rounding changes which channels are chosen, so the norms agree only roughly.
    assert mixed == pytest.approx(full, rel=0.3)


def test_test_writes_metrics_predictions_and_pictures(trained, run_tool, tmp_path, digits_config):
    result = run_tool(
        "test.py",
        *(digits_config, trained / "epoch_1.pth", "--work-dir", tmp_path / "work"),
        *("--out", tmp_path / "predictions.pkl"),
        *("--show-dir", os.path.relpath(tmp_path / "pictures", ROOT)),
    )
    assert "bbox_mAP_50" in result.stdout + result.stderr
    predictions = pickle.loads((tmp_path / "predictions.pkl").read_bytes())
    assert len(predictions) == 8
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 8
    assert not list((tmp_path / "work").rglob("*.png"))


def test_another_network_is_refused(trained, run_tool, tmp_path, digits_config):
    config = tmp_path / "medium.py"
    config.write_text(
        f"""
_base_ = {str(digits_config)!r}
model = dict(
    backbone=dict(arch="m"),
    neck=dict(in_channels=[80, 128, 192]),
)
"""
    )
    checkpoint = trained / "epoch_1.pth"
    for arguments in (
        ["test.py", config, checkpoint],
        ["train.py", config, "--resume", checkpoint],
    ):
        result = run_tool(*arguments, "--work-dir", tmp_path / "work", check=False)
        assert result.returncode != 0
        assert f"{checkpoint} is a checkpoint of another network" in result.stderr
        assert "backbone.stages." in result.stderr
    assert not list((tmp_path / "work").glob("*.pth"))


@pytest.fixture
def other_ids(digits, tmp_path):
    """The validation set with ids that neither count from 1 nor ascend with the names of files.

    It lacks the first picture.
    """
    content = json.loads((digits / "annotations" / "val.json").read_text())
    for part, key, step in (("images", "image_id", 100), ("categories", "category_id", 7)):
        for entry in content[part]:
            entry["id"] = 1000 - step * entry["id"]
        for annotation in content["annotations"]:
            annotation[key] = 1000 - step * annotation[key]
    content["images"].pop(0)
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    return path


def check_ids(predictions, ann_file):
    """Ids are those of the file, 1 that of the picture it lacks; COCO's evaluation takes them."""
    predictions = json.loads(predictions.read_text())
    truth = COCO(str(ann_file))
    assert {each["id"]: each["name"] for each in predictions["categories"]} == {
        id: category["name"] for id, category in truth.cats.items()
    }
    names = {each["id"]: each["file_name"] for each in predictions["images"]}
    assert names.pop(1) == "00001.png"
    assert names == {id: image["file_name"] for id, image in truth.imgs.items()}
    rows = [row for row in predictions["annotations"] if row["image_id"] != 1]
    evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert 0 <= evaluation.stats[0] <= 1


def test_infer_on_a_folder(trained, run_tool, tmp_path, digits, digits_config, other_ids):
    out = tmp_path / "out"
    config = tmp_path / "other.py"
    config.write_text(
        f"_base_ = {str(digits_config)!r}\n"
        f"test_dataloader = dict(dataset=dict(ann_file={str(other_ids)!r}))"
    )
    run_tool(
        "infer.py",
        *(digits / "val", config, trained / "epoch_1.pth", "--device", "cpu"),
        *("--out-dir", out, "--score-thr", "0.001", "--contact-sheet", tmp_path / "sheet.png"),
    )
    coco = COCO(str(out / "predictions.json"))
    assert len(coco.imgs) == 8
    assert {image["file_name"] for image in coco.imgs.values()} == {
        path.name for path in (out / "vis").iterdir()
    }
    assert len(coco.anns) > 0
    assert all(annotation["score"] >= 0.001 for annotation in coco.anns.values())
    check_ids(out / "predictions.json", other_ids)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (512, 6 * 256, 3)


def test_infer_takes_ids_from_a_file(trained, run_here, tmp_path, digits, digits_config, other_ids):
    run_here(
        *("infer.py", digits / "val", digits_config, trained / "epoch_1.pth", "--device", "cpu"),
        *("--out-dir", tmp_path / "out", "--score-thr", "0.001", "--ann-file", other_ids),
    )
    check_ids(tmp_path / "out" / "predictions.json", other_ids)


@pytest.mark.parametrize("limit", ["0", "-1", "few"])
def test_infer_refuses_a_limit_below_one(limit, run_here, capsys):
    with pytest.raises(SystemExit) as error:
        run_here("infer.py", "pictures", "config.py", "checkpoint.pth", "--limit", limit)
    assert error.value.code == 2
    assert f"--limit: must be a whole number from 1, got {limit}" in capsys.readouterr().err


def test_pictures_keep_their_colours(trained, run_tool, tmp_path, digits, digits_config):
    image = digits / "val" / "00001.png"
    run_tool(
        *("infer.py", image, digits_config, trained / "epoch_1.pth", "--device", "cpu"),
        *("--out-dir", tmp_path, "--score-thr", "1.0"),
    )
    drawn = cv2.imread(str(tmp_path / "vis" / "00001.png")).astype(int)
    assert np.abs(drawn - cv2.imread(str(image))).max() <= 2


def test_infer_names_what_is_wrong(trained, run_tool, tmp_path, digits, digits_config):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    cases = {
        (tmp_path / "broken.png", digits_config): "broken.png does not decode",
        (tmp_path / "missing.png", digits_config): "no image or folder at",
        (digits / "val", "configs/detection/ssd_hadaptive_s_coco.py"): "another network",
    }
    for (image, config), message in cases.items():
        result = run_tool(
            *("infer.py", image, config, trained / "epoch_1.pth", "--out-dir", tmp_path / "out"),
            check=False,
        )
        assert result.returncode != 0
        assert message in result.stderr, result.stderr
    assert not (tmp_path / "out" / "predictions.json").exists()


def test_detinferencer_takes_the_config_and_the_checkpoint(trained, digits, digits_config):
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(
        str(digits_config), str(trained / "epoch_1.pth"), device="cpu", show_progress=False
    )
    result = inferencer(str(digits / "val" / "00001.png"))
    assert set(result["predictions"][0]) == {"labels", "scores", "bboxes"}


def test_a_published_checkpoint_is_all_that_inference_needs(
    trained, run_here, tmp_path, digits, digits_config, capsys
):
    from mmdet.apis import DetInferencer

    run_here("model_converters/publish_model.py", trained / "epoch_1.pth", tmp_path / "digits.pth")
    path = Path(capsys.readouterr().out.split()[-1])
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_size < 0.6 * (trained / "epoch_1.pth").stat().st_size
    assert str(digits.parent).encode() not in path.read_bytes()
    image = str(digits / "val" / "00001.png")
    results = []
    for config, weights in ((digits_config, trained / "epoch_1.pth"), (None, path)):
        inferencer = DetInferencer(
            config and str(config), str(weights), device="cpu", show_progress=False
        )
        assert inferencer.model.dataset_meta["classes"] == tuple("0123456789")
        results.append(inferencer(image)["predictions"])
    assert results[0] == results[1]


def test_dist_scripts_with_two_gloo_processes(run_dist, tmp_path, digits_config, trained):
    run_dist("dist_train.sh", digits_config, 2, "--work-dir", tmp_path)
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "Distributed training: True" in log
    scalars = next(tmp_path.glob("*/vis_data/scalars.json")).read_text().splitlines()
    # 24 images in batches of 8 are 3 steps for one rank; each of two ranks takes 1.
    assert sum("loss_cls" in json.loads(line) for line in scalars) == 1
    out = tmp_path / "test"
    run_dist(
        "dist_test.sh",
        *(digits_config, tmp_path / "epoch_1.pth", 2, "--work-dir", out),
        *("--record", out / "record.json"),
    )
    record = json.loads((out / "record.json").read_text())
    assert record["versions"]["torch"]
    metrics = record["metrics"]
    assert 0 <= metrics["coco/bbox_mAP_50"] <= 1


def test_missing_config_and_unscalable_learning_rate(run_tool, tmp_path):
    result = run_tool("train.py", "configs/nothing.py", check=False)
    assert "no config at configs/nothing.py" in result.stderr
    config = tmp_path / "plain.py"
    config.write_text("optim_wrapper = dict()")
    result = run_tool("train.py", config, "--auto-scale-lr", "--work-dir", tmp_path, check=False)
    assert "has no auto_scale_lr.base_batch_size" in result.stderr
