"""Pictures and categories keep the ids of their annotation file."""

import json
from pathlib import Path

import pytest

from mmhadaptive.evaluation import CocoIds


def test_ids_of_the_file_and_free_ones(tmp_path):
    content = dict(
        images=[
            dict(id=2, file_name="1.png"),
            dict(id=7, file_name="left/1.png"),
            dict(id=1, file_name="b.png"),
        ],
        categories=[dict(id=5, name="cell"), dict(id=1, name="disk")],
    )
    file = tmp_path / "set.json"
    file.write_text(json.dumps(content))
    ids = CocoIds(file)
    assert ids.image(Path("pictures/1.png")) == 2
    assert ids.image(Path("pictures/left/1.png")) == 7
    assert ids.image(Path("b.png")) == 1
    # Others take what is free, and keep it.
    assert [ids.image(Path(name)) for name in ("x.png", "left/x.png", "x.png")] == [3, 4, 3]
    assert [ids.category(name) for name in ("disk", "cell", "plate")] == [1, 5, 2]


def test_without_a_file_everything_is_numbered_from_one():
    ids = CocoIds()
    assert [ids.image(Path(name)) for name in ("b.png", "a.png")] == [1, 2]
    assert [ids.category(name) for name in ("disk", "cell")] == [1, 2]


def test_another_file_is_named(tmp_path):
    file = tmp_path / "list.json"
    file.write_text('[{"image_id": 1}]')
    with pytest.raises(ValueError, match=r"list\.json is no COCO annotation file"):
        CocoIds(file)
