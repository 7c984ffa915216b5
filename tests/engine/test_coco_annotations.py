"""What a COCO-format set of one's own may have wrong is said before the training."""

import copy
import json

import pytest
from mmengine.config import Config

from mmhadaptive.engine.coco_annotations import check_coco_annotations

from ..paths import ROOT

CLASSES = ("red", "white", "platelet")


def sound_set():
    """Four pictures, 100x80, with a small and a large box each."""
    return dict(
        images=[dict(id=i, file_name=f"{i}.png", width=100, height=80) for i in range(4)],
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, start=1)],
        annotations=[
            annotation
            for i in range(4)
            for annotation in (
                make_annotation(10 * i, i, 1 + i % 3, [60, 50, 20 + i, 10]),
                make_annotation(10 * i + 1, i, 1 + (i + 1) % 3, [5, 5, 90, 70]),
            )
        ],
    )


def make_annotation(id, image, category, box):
    area = box[2] * box[3]
    return dict(id=id, image_id=image, category_id=category, bbox=box, area=area, iscrowd=0)


@pytest.fixture
def check(tmp_path):
    """Write a training and a validation set, which functions may spoil, and check their config."""

    def check_sets(train=None, val=None, classes=CLASSES, change=None):
        for split, spoil in (("train", train), ("val", val)):
            content = sound_set()
            if spoil:
                content = spoil(content) or content
            (tmp_path / f"{split}.json").write_text(json.dumps(content))
        loaders = {
            f"{split}_dataloader": dict(
                dataset=dict(
                    type="CocoDataset",
                    data_root=str(tmp_path),
                    ann_file=f"{split}.json",
                    metainfo=dict(classes=classes),
                    test_mode=split == "val",
                    filter_cfg=dict(filter_empty_gt=True, min_size=32),
                )
            )
            for split in ("train", "val")
        }
        cfg = Config(
            dict(
                default_scope="mmdet",
                val_evaluator=dict(type="CocoMetric", ann_file=f"{tmp_path}/val.json"),
                model=dict(bbox_head=dict(num_classes=len(classes))),
                **loaders,
            )
        )
        if change:
            change(cfg)
        check_coco_annotations(cfg, ("train", "val"))

    return check_sets


@pytest.fixture
def complaint(check):
    """What is said of a spoiled set, by line."""

    def complain(*args, **kwargs):
        with pytest.raises(ValueError, match="annotations do not fit") as error:
            check(*args, **kwargs)
        return [line.strip() for line in str(error.value).splitlines()[1:]]

    return complain


def test_sound_sets_pass(check):
    check()
    # A part of the categories, in the order of the file.
    check(classes=("red", "platelet"))
    # Some pictures without boxes, boxes a little outside, crowds and ids that do not ascend.
    check(lambda content: content["images"].append(dict(sound_set()["images"][0], id=99)))
    check(lambda content: content["annotations"][1]["bbox"].__setitem__(2, 97))
    check(lambda content: content["annotations"][1].update(iscrowd=1))

    def renumber(content):
        ids = {1: 30, 2: 20, 3: 40}
        for category in content["categories"]:
            category["id"] = ids[category["id"]]
        for annotation in content["annotations"]:
            annotation["category_id"] = ids[annotation["category_id"]]

    check(renumber)


def test_real_sets_pass(shared_data):
    cfg = Config.fromfile(ROOT / "configs" / "detection" / "ssd_hadaptive_s_bccd.py")
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].dataset.data_root = str(shared_data / "bccd")
        cfg[f"{split}_evaluator"] = dict(
            type="CocoMetric", ann_file=str(shared_data / "bccd" / f"{split}.json")
        )
    check_coco_annotations(cfg, ("train", "val", "test"))
    cfg = Config.fromfile(ROOT / "configs" / "ssd_hadaptive_s_coco.py")
    for split in ("train", "val"):
        cfg[f"{split}_dataloader"].dataset.data_root = str(shared_data / "coco256")
        cfg[f"{split}_dataloader"].dataset.ann_file = f"instances_{split}2017.json"
    cfg.val_evaluator.ann_file = str(shared_data / "coco256" / "instances_val2017.json")
    check_coco_annotations(cfg, ("train", "val"))


def test_our_demo_passes(digits_config):
    check_coco_annotations(Config.fromfile(digits_config), ("train", "val"))


def test_a_misspelt_class(complaint):
    (train, val) = complaint(classes=("red", "white", "platelets"))
    assert "train.json: no category 'platelets' (did you mean 'platelet'?)" in train
    assert "val.json: no category 'platelets'" in val


def test_all_classes_misspelt(complaint):
    (train, _) = complaint(classes=("Red", "White", "Platelet"))
    for name in CLASSES:
        assert f"'{name.title()}' (did you mean '{name}'?)" in train


def test_classes_of_another_set(complaint):
    def forget(cfg):
        del cfg.train_dataloader.dataset.metainfo, cfg.val_dataloader.dataset.metainfo
        cfg.model.bbox_head.num_classes = 80

    (train, _) = complaint(change=forget)
    assert "no category 'person', 'bicycle'" in train
    assert "75 more" in train
    assert "its categories are 'red', 'white', 'platelet'" in train


def test_one_class_without_its_comma(complaint):
    (train, _) = complaint(classes="red")
    assert "'red' is no tuple: write classes=('red',)" in train


def test_classes_in_another_order(complaint):
    (train, _) = complaint(classes=("white", "red", "platelet"))
    assert "train.json: label 0 is its category 'red', but the class 'white'" in train
    assert "classes=('red', 'white', 'platelet')" in train


def test_categories_in_another_order_in_train_and_val(complaint):
    (val,) = complaint(val=lambda content: content["categories"].reverse())
    assert "val.json: label 0 is its category 'platelet', but the class 'red'" in val


def test_two_categories_of_one_name(complaint):
    (train,) = complaint(lambda content: content["categories"].insert(1, dict(id=9, name="red")))
    assert "train.json: several categories have the name 'red'" in train


def test_classes_that_differ_between_train_and_val(complaint):
    def swap(cfg):
        cfg.val_dataloader.dataset.metainfo.classes = ("white", "red", "platelet")

    def swap_categories(content):
        categories = content["categories"]
        content["categories"] = [categories[1], categories[0], categories[2]]

    (val,) = complaint(val=swap_categories, change=swap)
    assert "val.json: label 0 is 'white', but 'red' in " in val
    assert val.endswith("train.json")


def test_an_evaluator_with_a_file_of_its_own(complaint, tmp_path):
    other = sound_set()
    other["categories"].reverse()
    (tmp_path / "other.json").write_text(json.dumps(other))

    def replace(cfg):
        cfg.val_evaluator = [dict(type="mmdet.CocoMetric", ann_file=f"{tmp_path}/other.json")]

    (line,) = complaint(change=replace)
    assert "other.json: label 0 is its category 'platelet', but the class 'red'" in line


def test_category_ids_that_no_category_has(complaint):
    def shift(content):
        for annotation in content["annotations"]:
            annotation["category_id"] -= 1

    (train,) = complaint(shift)
    assert "train.json: 3 of 8 annotations have a category_id of no category: 0" in train
    assert "the categories have 1, 2, 3" in train


def to_corners(content):
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [x, y, x + w, y + h]


def test_corners_instead_of_sizes(complaint):
    (train,) = complaint(to_corners)
    assert "train.json: 4 of 8 boxes leave their picture" in train
    assert "x, y, width, height" in train


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
@pytest.mark.parametrize("key", ["bbox", "area"])
def test_boxes_without_numbers(complaint, key, value):
    def spoil(content):
        for i in (2, 5):
            annotation = content["annotations"][i]
            annotation[key] = [1, value, 3, 4] if key == "bbox" else value

    (train,) = complaint(spoil)
    if (key, value) == ("bbox", None):
        assert train.endswith("train.json: 2 of 8 annotations have a bbox that is not four numbers")
        return
    assert train.endswith(
        "train.json: 2 of 8 annotations have a bbox or an area with NaN, infinity or null: those "
        "with the id 10, 21"
    )


def test_boxes_outside_are_not_taken_for_corners(check):
    def move(content):
        for annotation in content["annotations"][::2]:
            annotation["bbox"][0] += 30

    check(move)


def test_boxes_none_of_which_counts(complaint):
    def normalise(content):
        for annotation in content["annotations"]:
            annotation["bbox"] = [value / 100 for value in annotation["bbox"]]

    (train,) = complaint(normalise)
    assert "train.json: none of its 8 annotations counts" in train


def test_no_picture_is_left(complaint, check):
    def shrink(content):
        for image in content["images"]:
            image.update(width=100, height=20)
        for annotation in content["annotations"]:
            annotation["bbox"] = [2, 2, 10, 10]

    (train,) = complaint(shrink)
    assert "train.json: filter_cfg leaves none of its 4 pictures" in train

    def unlabel(content):
        del content["annotations"]

    (train,) = complaint(unlabel)
    assert "filter_cfg leaves none" in train
    # Pictures without labels, as semi-supervised training reads them.
    check(unlabel, change=lambda cfg: cfg.train_dataloader.dataset.pop("filter_cfg"))


@pytest.mark.parametrize("part", ["images", "categories"])
def test_a_part_is_missing(complaint, part):
    (train,) = complaint(lambda content: content.pop(part) and None)
    assert f"train.json has no {part}" in train


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("annotations", "area"),
        ("annotations", "category_id"),
        ("images", "height"),
        ("categories", "name"),
    ],
)
def test_a_key_is_missing(complaint, part, key):
    (train,) = complaint(lambda content: content[part][1].pop(key) and None)
    assert f"train.json: 1 of {len(sound_set()[part])} {part} have no {key!r}" in train
    assert ("width * height" in train) == (key == "area")


def test_evaluation_needs_iscrowd(complaint, check):
    def forget(content):
        del content["annotations"][0]["iscrowd"]

    check(forget)
    (val,) = complaint(val=forget)
    assert "val.json: 1 of 8 annotations have no 'iscrowd'" in val


def test_what_is_no_coco_file(complaint, check, tmp_path):
    (train,) = complaint(lambda content: [content])
    assert "train.json holds no JSON object" in train
    for box in ([1, 2, 3], None, [1, 2, 3, None], ["1", "2", "3", "4"]):
        (train,) = complaint(lambda content, box=box: content["annotations"][0].update(bbox=box))
        assert "train.json: 1 of 8 annotations have a bbox that is not four numbers" in train

    def cut(cfg):
        (tmp_path / "train.json").write_text('{"images": [')

    (train,) = complaint(change=cut)
    assert "train.json does not parse" in train


@pytest.mark.parametrize("empty", [False, True])
def test_pictures_that_fill_no_batch(complaint, check, empty):
    def forget(content):
        content["annotations"] = content["annotations"][:4]

    def change(cfg):
        cfg.train_dataloader.update(batch_size=4, drop_last=True)
        cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = empty

    if not empty:
        check(forget, change=change)
        return
    (train,) = complaint(forget, change=change)
    assert "train.json: 2 pictures to train on are less than a batch of 4" in train

    def repeat(cfg):
        change(cfg)
        cfg.train_dataloader.dataset = dict(
            type="RepeatDataset", times=2, dataset=cfg.train_dataloader.dataset
        )

    check(forget, change=repeat)


def test_a_head_for_another_number_of_classes(complaint):
    def change(cfg):
        cfg.model = dict(
            detector=dict(
                rpn_head=dict(num_classes=1),
                roi_head=dict(bbox_head=[dict(num_classes=80), dict(num_classes=3)]),
            )
        )

    (line,) = complaint(change=change)
    assert line == "model.detector.roi_head.bbox_head[0].num_classes is 80, for 3 classes"


def test_a_detector_that_trains_on_other_sets_may_have_any_head(check):
    """Open-vocabulary detectors have a class for every word of a prompt."""

    def change(cfg):
        cfg.train_dataloader.dataset = dict(type="ODVGDataset", ann_file="odvg.jsonl")
        cfg.model.bbox_head.num_classes = 256

    check(change=change)


def test_all_problems_stand_in_one_message(complaint):
    def spoil(content):
        to_corners(content)
        content["annotations"][0]["category_id"] = 7

    lines = complaint(spoil, lambda content: content["categories"].reverse(), CLASSES[::-1])
    assert len(lines) == 3
    assert sum("train.json" in line for line in lines) == 3


def test_wrapped_sets_are_checked(complaint):
    def wrap(cfg):
        dataset = copy.deepcopy(cfg.train_dataloader.dataset)
        cfg.train_dataloader.dataset = dict(
            type="RepeatDataset", times=2, dataset=dict(type="ConcatDataset", datasets=[dataset])
        )

    (train,) = complaint(to_corners, change=wrap)
    assert "4 of 8 boxes leave" in train


def test_other_sets_are_left_alone(check):
    cfg = Config.fromfile(
        ROOT / "configs" / "classification" / "cifar100" / "hadaptive_s_cifar100.py"
    )
    check_coco_annotations(cfg, ("train", "val"))

    def read_segments(cfg):
        cfg.train_dataloader.dataset.type = "CocoPanopticDataset"

    check(lambda content: content.pop("categories") and None, change=read_segments)


def test_training_is_refused_before_it_starts(digits, digits_config, run_here, tmp_path):
    with pytest.raises(ValueError, match=r"train\.json: no category .*'one'"):
        run_here(
            *("train.py", digits_config, "--work-dir", tmp_path / "work", "--cfg-options"),
            "train_dataloader.dataset.metainfo.classes=(0,one)",
        )
    assert not (tmp_path / "work").exists()
