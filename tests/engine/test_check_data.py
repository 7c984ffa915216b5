"""The whole check names what is wrong with annotations and pictures, and counts the rest."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmhadaptive.engine.check_data import (
    check_annotations,
    check_pictures,
    check_voc_annotations,
    picture_problems,
)
from mmhadaptive.io.user_errors import UserError

from .test_coco_annotations import CLASSES, make_annotation, sound_set


def loader(root, **dataset):
    dataset = dict(data_root=str(root), metainfo=dict(classes=CLASSES)) | dataset
    return Config(
        dict(
            default_scope="mmdet",
            train_dataloader=dict(dataset=dataset),
            model=dict(bbox_head=dict(num_classes=len(CLASSES))),
        )
    )


@pytest.fixture
def coco(tmp_path):
    """Check a COCO set that a function may spoil; returns the report."""

    def check(spoil=None):
        content = sound_set()
        if spoil:
            spoil(content)
        (tmp_path / "train.json").write_text(json.dumps(content))
        cfg = loader(
            tmp_path, type="CocoDataset", ann_file="train.json", data_prefix=dict(img="images")
        )
        return check_annotations(cfg, ("train",))

    return check


def own(lines, start="train.json: "):
    """What a report says, without the folder."""
    return [line[line.index(start) + len(start) :] for line in lines]


def test_a_sound_set_is_counted(coco, tmp_path):
    report = coco()
    assert report.problems == []
    assert report.notes == []
    head, rows = report.counts()
    assert head == ["class", "train: boxes", "pictures"]
    assert rows == [["red", 3, 3], ["white", 3, 3], ["platelet", 2, 2]]
    assert report.pictures() == {f"{tmp_path}/images/{i}.png": (100, 80) for i in range(4)}


BOXES = [
    ([np.nan, 0, 5, 5], "1 of 9 boxes are not finite: annotation 77 (nan, 0, 5, 5)"),
    ([0, 0, np.inf, 5], "1 of 9 boxes are not finite: annotation 77 (0, 0, inf, 5)"),
    ([9, 9, -5, 5], "1 of 9 boxes have a negative width or height: annotation 77 (9, 9, -5, 5)"),
    ([9, 9, 0, 5], "1 of 9 boxes are empty, without width or height: annotation 77 (9, 9, 0, 5)"),
    ([100, 9, 5, 5], "1 of 9 boxes lie outside their picture: annotation 77 (100, 9, 5, 5)"),
    ([-9, 9, 9, 5], "1 of 9 boxes lie outside their picture: annotation 77 (-9, 9, 9, 5)"),
    (
        [90, 9, 12, 5],
        "1 of 9 boxes leave their picture by more than a pixel: annotation 77 (90, 9, 12, 5)",
    ),
    ([90, 9, 11, 5], None),
]


@pytest.mark.parametrize(("box", "said"), BOXES)
def test_boxes(coco, box, said):
    def add(content):
        content["annotations"].append(make_annotation(77, 0, 1, box) | dict(area=25))

    # The quick pass finds those that are not finite, too.
    problems = [each for each in own(coco(add).problems) if "with NaN, infinity" not in each]
    assert problems == ([said] if said else [])


def test_ids(coco):
    def spoil(content):
        content["images"].append(dict(content["images"][1]))
        content["annotations"][3]["id"] = content["annotations"][2]["id"]
        content["annotations"][0]["image_id"] = 99
        content["annotations"][1]["area"] = 0

    assert own(coco(spoil).problems) == [
        "1 ids of images occur more than once: 1",
        "1 ids of annotations occur more than once: 10",
        "1 of 8 annotations have an image_id of no image: annotation 0 (99)",
        "1 of 8 annotations have no area above 0, so that mmdet leaves them out: annotation 1 (0)",
    ]


def test_what_training_refuses_is_told_beside_the_rest(coco):
    def spoil(content):
        content["annotations"][0]["category_id"] = 7
        content["annotations"][1]["bbox"] = [9, 9, 0, 5]
        content["categories"].reverse()

    unknown, order, empty = own(coco(spoil).problems)
    assert unknown.startswith("1 of 8 annotations have a category_id of no category: 7")
    assert order.startswith("label 0 is its category 'platelet', but the class 'red'")
    assert empty.startswith("1 of 8 boxes are empty")


def test_notes(coco):
    def spoil(content):
        content["categories"].append(dict(id=9, name="dust"))
        content["annotations"] = [
            annotation for annotation in content["annotations"] if annotation["category_id"] != 3
        ]
        content["annotations"].append(make_annotation(77, 0, 9, [5, 5, 0.5, 9]))
        content["annotations"].append(dict(content["annotations"][0], id=78))
        content["images"].append(dict(id=50, file_name="50.png", width=100, height=80))

    report = coco(spoil)
    assert report.problems == []
    assert own(report.notes) == [
        "categories that are no class, with their boxes: 'dust' (1)",
        "classes without a box: 'platelet'",
        "1 of 5 pictures without boxes",
        "1 boxes narrower than a pixel, which mmdet leaves out",
        "1 boxes occur again in their picture, with the same category: annotation 78",
    ]


def test_hotcoco_finds_the_same(coco, tmp_path):
    """The second implementation is its health check, which has no word for NaN."""
    hotcoco = pytest.importorskip("hotcoco")
    rng = np.random.default_rng(0)

    def spoil(content):
        for number in range(100, 160):
            # Even, since it counts boxes that leave the picture by one pixel.
            box = (2 * rng.integers([-3, -3, -2, -2], [60, 50, 15, 15])).tolist()
            annotation = make_annotation(number, int(rng.integers(6)), 1, box) | dict(area=1)
            content["annotations"].append(annotation)
        content["annotations"] += content["annotations"][:3]
        content["images"].append(content["images"][0])

    said = " ".join(own(coco(spoil).problems))
    report = hotcoco.COCO(json.loads((tmp_path / "train.json").read_text())).healthcheck()
    found = {each["code"]: each["affected_ids"] for each in report["errors"] + report["warnings"]}
    orphans = set(found["orphan_image_id"])

    def counts(*kinds):
        return sum(int(re.search(rf"(\d+) of \d+ boxes {kind}", said)[1]) for kind in kinds)

    assert f"{len(found['duplicate_ann_id'])} ids of annotations" in said
    assert f"{len(found['duplicate_image_id'])} ids of images" in said
    assert f"{len(orphans)} of 71 annotations have an image_id of no image" in said
    degenerate = set(found["degenerate_bbox"]) - orphans
    assert counts("have a negative", "are empty") == len(degenerate) > 2
    outside = set(found["bbox_out_of_bounds"]) - orphans
    assert counts("lie outside", "leave their") == len(outside) > 2


def test_other_data_are_told(tmp_path):
    with pytest.raises(UserError, match="no data set of COCO's or VOC's form for train"):
        check_annotations(loader(tmp_path, type="ODVGDataset", ann_file="x.jsonl"), ("train",))


def draw(path, width=100, height=80, **how):
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(path, **how)
    return str(path)


def pictures_said(*pictures):
    return picture_problems(check_pictures(dict.fromkeys(pictures, (100, 80))))


def test_pictures(tmp_path):
    good = [draw(tmp_path / name) for name in ("a.png", "b.jpg", "c.bmp", "d.webp")]
    assert pictures_said(*good) == []
    assert pictures_said(good[0], "nowhere.png") == ["1 of 2 pictures are missing: nowhere.png"]
    small = draw(tmp_path / "small.png", 50, 40)
    assert pictures_said(small) == [
        f"1 of 1 pictures have another size than the annotations say: {small} (50x40, not 100x80)"
    ]
    assert picture_problems(check_pictures({small: (np.nan, np.nan)})) == []


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png"])
def test_cut_pictures(tmp_path, name):
    path = tmp_path / name
    whole = Path(draw(path)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (said,) = pictures_said(str(path))
    assert said.startswith(f"1 of 1 pictures do not decode: {path} (")
    for content in (b"", b"no picture"):
        path.write_bytes(content)
        assert pictures_said(str(path)) == [f"1 of 1 pictures do not decode: {path}"]


def test_a_picture_that_its_exif_data_turn(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = draw(tmp_path / "turned.jpg", exif=exif)
    assert cv2.imread(path).shape == (100, 80, 3)
    (said,) = pictures_said(path)
    assert f"{path} (80x100, turned by its EXIF data, not 100x80)" in said


def objects(*things):
    return "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in things
    )


SIZE = "<size><width>100</width><height>80</height></size>"


@pytest.fixture
def voc(tmp_path):
    """Write a VOC set by the names and contents of its annotations; returns its config."""

    def write(**annotations):
        (tmp_path / "Annotations").mkdir()
        for name, inner in annotations.items():
            if inner is not None:
                (tmp_path / "Annotations" / f"{name}.xml").write_text(inner)
        (tmp_path / "train.txt").write_text("\n".join(annotations))
        prefix = dict(img="", sub_data_root="")
        return loader(tmp_path, type="VOCDataset", ann_file="train.txt", data_prefix=prefix)

    return write


def as_xml(*things, size=SIZE):
    return f"<annotation>{size}{objects(*things)}</annotation>"


def test_a_sound_voc_set(voc, tmp_path):
    cfg = voc(
        a=as_xml(("red", 1, 1, 100, 80), ("red", 5, 5, 9, 9), ("white", 5, 5, 9, 9)),
        b=as_xml(("platelet", 5, 5, 9, 9), size=""),
    )
    report = check_annotations(cfg, ("train",))
    assert (report.problems, report.notes) == ([], [])
    assert report.counts()[1] == [["red", 2, 1], ["white", 1, 1], ["platelet", 1, 1]]
    (first, second) = report.pictures().items()
    assert first == (f"{tmp_path}/JPEGImages/a.jpg", (100, 80))
    assert second[0] == f"{tmp_path}/JPEGImages/b.jpg"
    assert np.isnan(second[1]).all()
    check_voc_annotations(cfg, ("train",))


def test_a_spoiled_voc_set(voc, tmp_path):
    cfg = voc(
        a=as_xml(("red", 9, 9, 5, 20), ("red", 5, 5, 5, 9), ("white", 90, 5, 120, 9)),
        b=None,
        c="<annotation>",
        d=as_xml(("platelets", 5, 5, 9, 9), ("dust", 5, 5, 9, 9)),
        e="<annotation><object><name>red</name></object></annotation>",
    )
    cfg.model.bbox_head.num_classes = 20
    said = check_annotations(cfg, ("train",)).problems
    start = f"{tmp_path}/train.txt: "
    folder = tmp_path / "Annotations"
    assert said[:4] == [
        f"{start}1 annotations are missing: {folder}/b.xml",
        f"{start}1 annotations do not parse: {folder}/c.xml (no element found: line 1, column 12)",
        f"{start}1 objects have no name or no bndbox of four numbers: {folder}/e.xml object 1",
        f"{start}no object 'platelet' (did you mean 'platelets'?)",
    ]
    assert said[4] == "model.bbox_head.num_classes is 20, for 3 classes"
    assert said[5:] == [
        f"{start}1 of 5 boxes have a negative width or height: a.xml object 1 (8, 8, -4, 11)",
        f"{start}1 of 5 boxes are empty, without width or height: a.xml object 2 (4, 4, 0, 4)",
        f"{start}1 of 5 boxes leave their picture by more than a pixel: a.xml object 3 "
        "(89, 4, 30, 4)",
    ]
    with pytest.raises(ValueError, match="b\\.xml") as error:
        check_voc_annotations(cfg, ("train",))
    assert len(str(error.value).splitlines()) == 1 + 5


def test_voc_objects_of_other_classes(voc):
    cfg = voc(a=as_xml(("cat", 5, 5, 9, 9)), b=as_xml(("dog", 5, 5, 9, 9)))
    (said,) = check_annotations(cfg, ("train",)).problems
    assert "no object is of a class; the objects are 'cat', 'dog', the classes 'red'" in said


@pytest.mark.parametrize("empty", [False, True])
def test_voc_pictures_that_fill_no_batch(voc, empty):
    cfg = voc(a=as_xml(("red", 5, 5, 9, 9)), b=as_xml(("white", 5, 5, 9, 9)), c=as_xml())
    cfg.train_dataloader.update(drop_last=True, batch_size=3)
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=empty)
    said = check_annotations(cfg, ("train",)).problems
    assert len(said) == empty
    assert not said or "2 pictures to train on are less than a batch of 3" in said[0]
