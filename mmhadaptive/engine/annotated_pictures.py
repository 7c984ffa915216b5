"""What an annotation file says of its pictures, whichever form it has."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import list_from_file

from .coco_annotations import first_few

# The only one that mmdet's XMLDataset reads.
VOC_SUFFIX = ".jpg"


@dataclass
class AnnotatedPictures:
    """Pictures with the boxes that an annotation file gives them.

    Attributes:
        file: The annotation file.
        classes: Of the data set that reads it.
        paths: Of the pictures.
        sizes: Their width and height in pixels as the file says, (P, 2); NaN where it does not.
        owners: The picture of each box, (N,).
        marks: What to call each box in a message.
        names: The category of each box; None without one.
        boxes: x, y, width and height in pixels, (N, 4).
        problems: What was wrong while reading.
    """

    file: str
    classes: Sequence[str]
    paths: list[str] = field(default_factory=list)
    sizes: np.ndarray | list = field(default_factory=list)
    owners: np.ndarray | list = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    boxes: np.ndarray | list = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def freeze(self) -> AnnotatedPictures:
        """Make arrays of the lists that were filled."""
        self.sizes = np.array(self.sizes, float).reshape(-1, 2)
        self.owners = np.array(self.owners, int)
        self.boxes = np.array(self.boxes, float).reshape(-1, 4)
        return self

    def __len__(self) -> int:
        return len(self.paths)

    def of_class(self) -> np.ndarray:
        """Whether each box is of one of the classes, (N,)."""
        return np.array([name in self.classes for name in self.names], bool)

    def box_problems(self) -> Iterator[str]:
        """Boxes that cannot be right, each under the first of the kinds that it is of."""
        start, size = self.boxes[:, :2], self.boxes[:, 2:]
        bounds = self.sizes[self.owners]
        inside = np.minimum(start + size, bounds) - np.maximum(start, 0)
        kinds = {
            "are not finite": ~np.isfinite(self.boxes).all(axis=1),
            "have a negative width or height": (size < 0).any(axis=1),
            "are empty, without width or height": (size == 0).any(axis=1),
            "lie outside their picture": (inside <= 0).any(axis=1),
            "leave their picture by more than a pixel": (
                (start < -1) | (start + size > bounds + 1)
            ).any(axis=1),
        }
        left = np.ones(len(self.boxes), bool)
        for kind, wrong in kinds.items():
            found = [
                f"{self.marks[i]} ({', '.join(f'{value:g}' for value in self.boxes[i])})"
                for i in np.flatnonzero(left & wrong)
            ]
            left &= ~wrong
            if found:
                yield f": {len(found)} of {len(left)} boxes {kind}: {first_few(found, 3)}"

    def notes(self) -> Iterator[str]:
        """What may be meant, but is to be known."""
        boxes = Counter(self.names)
        unused = [
            f"{name!r} ({count})"
            for name, count in boxes.items()
            if name is not None and name not in self.classes
        ]
        if unused:
            yield f": categories that are no class, with their boxes: {first_few(unused, 20)}"
        without = [repr(name) for name in self.classes if not boxes[name]]
        if without:
            yield f": classes without a box: {first_few(without, 20)}"
        empty = len(self.paths) - len(np.unique(self.owners))
        if empty:
            yield f": {empty} of {len(self.paths)} pictures without boxes"
        small = ((self.boxes[:, 2:] > 0) & (self.boxes[:, 2:] < 1)).any(axis=1).sum()
        if small:
            yield f": {small} boxes narrower than a pixel, which mmdet leaves out"
        seen, again = set(), []
        for mark, *key in zip(
            self.marks, self.owners.tolist(), self.names, map(tuple, self.boxes), strict=True
        ):
            if tuple(key) in seen:
                again.append(mark)
            seen.add(tuple(key))
        if again:
            yield (
                f": {len(again)} boxes occur again in their picture, with the same category: "
                f"{first_few(again, 3)}"
            )

    def counts(self) -> tuple[Counter, Counter]:
        """Boxes by class, and pictures with a box of it."""
        pictures = set(zip(self.owners.tolist(), self.names, strict=True))
        return Counter(self.names), Counter(name for _, name in pictures)


def _repeated(ids: list) -> list:
    return [id for id, count in Counter(ids).items() if count > 1]


def from_coco(content: dict, dataset: BaseDataset) -> AnnotatedPictures:
    """Of a file of COCO's form that has all it is to have."""
    read = AnnotatedPictures(dataset.ann_file, dataset.metainfo["classes"])
    annotations = content.get("annotations") or []
    for part in ("images", "categories", "annotations"):
        repeated = _repeated([entry["id"] for entry in content.get(part) or []])
        if repeated:
            read.problems.append(
                f": {len(repeated)} ids of {part} occur more than once: {first_few(repeated)}"
            )
    rows = {}
    for image in content["images"]:
        if image["id"] not in rows:
            rows[image["id"]] = len(read.paths)
            read.paths.append(os.path.join(dataset.data_prefix.get("img", ""), image["file_name"]))
            read.sizes.append((image["width"], image["height"]))
    names = {category["id"]: category["name"] for category in content["categories"]}
    orphans, flat = [], []
    for annotation in annotations:
        mark = f"annotation {annotation['id']}"
        if annotation["image_id"] not in rows:
            orphans.append(f"{mark} ({annotation['image_id']})")
            continue
        read.owners.append(rows[annotation["image_id"]])
        read.marks.append(mark)
        read.names.append(names.get(annotation["category_id"]))
        read.boxes.append(annotation["bbox"])
        if not annotation["area"] > 0 and 0 not in annotation["bbox"][2:]:
            flat.append(f"{mark} ({annotation['area']})")
    if orphans:
        read.problems.append(
            f": {len(orphans)} of {len(annotations)} annotations have an image_id of no image: "
            f"{first_few(orphans, 3)}"
        )
    if flat:
        read.problems.append(
            f": {len(flat)} of {len(annotations)} annotations have no area above 0, so that mmdet "
            f"leaves them out: {first_few(flat, 3)}"
        )
    return read.freeze()


def _number(node: ET.Element, path: str) -> float:
    return float(node.find(path).text)


def from_voc(dataset: BaseDataset) -> AnnotatedPictures:
    """Of a list of names with a file of VOC's form for each, as mmdet's ``XMLDataset`` reads it."""
    read = AnnotatedPictures(dataset.ann_file, dataset.metainfo["classes"])
    root = Path(dataset.sub_data_root)
    names = list_from_file(dataset.ann_file)
    repeated = _repeated(names)
    if repeated:
        read.problems.append(f": {len(repeated)} names occur more than once: {first_few(repeated)}")
    missing, broken, incomplete = [], [], []
    for name in dict.fromkeys(names):
        path = root / dataset.ann_subdir / f"{name}.xml"
        try:
            tree = ET.parse(path).getroot()
            size = tree.find("size")
            sides = (np.nan, np.nan)
            if size is not None:
                sides = (_number(size, "width"), _number(size, "height"))
        except OSError:
            missing.append(str(path))
            continue
        except (ET.ParseError, AttributeError, TypeError, ValueError) as error:
            broken.append(f"{path} ({error})")
            continue
        read.paths.append(str(root / dataset.img_subdir / f"{name}{VOC_SUFFIX}"))
        read.sizes.append(sides)
        for i, thing in enumerate(tree.findall("object"), start=1):
            try:
                x1, y1, x2, y2 = (
                    _number(thing, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
                )
                category = thing.find("name").text
            except (AttributeError, TypeError, ValueError):
                incomplete.append(f"{path} object {i}")
                continue
            read.owners.append(len(read.paths) - 1)
            read.marks.append(f"{path.name} object {i}")
            read.names.append(category)
            # VOC counts pixels from 1.
            read.boxes.append((x1 - 1, y1 - 1, x2 - x1, y2 - y1))
    for found, what in (
        (missing, "annotations are missing"),
        (broken, "annotations do not parse"),
        (incomplete, "objects have no name or no bndbox of four numbers"),
    ):
        if found:
            read.problems.append(f": {len(found)} {what}: {first_few(found, 3)}")
    read.problems += _misspelt(read)
    return read.freeze()


def _misspelt(read: AnnotatedPictures) -> Iterator[str]:
    """Classes of no object, where an object has a name like it or none has a class at all."""
    if isinstance(read.classes, str):
        yield f": {read.classes!r} is no tuple: write classes=({read.classes!r},)"
        return
    present = dict.fromkeys(name for name in read.names if name is not None)
    others = {name.lower(): name for name in present if name not in read.classes}
    if present and len(others) == len(present):
        yield (
            f": no object is of a class; the objects are {first_few([*map(repr, present)])}, the "
            f"classes {first_few([*map(repr, read.classes)])}"
        )
        return
    for name in read.classes:
        close = get_close_matches(name.lower(), others, 1)
        if name not in present and close:
            yield f": no object {name!r} (did you mean {others[close[0]]!r}?)"
