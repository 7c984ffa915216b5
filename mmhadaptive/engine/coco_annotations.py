"""Find out before a training whether COCO annotation files mean what the config says."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from mmhadaptive.io.user_errors import UserValueError

from .data_files import is_local, metric_configs, type_name, unread_datasets

KEYS = dict(
    images=("id", "file_name", "width", "height"),
    categories=("id", "name"),
    annotations=("id", "image_id", "category_id", "bbox", "area"),
)
HINTS = dict(area=": write the width * height of the bbox", iscrowd=": write 0")


def _reads_coco(dataset: BaseDataset) -> bool:
    # By name, since mmdet need not be there for a classifier.
    return all(
        getattr(getattr(dataset, name, None), "__qualname__", "") == f"CocoDataset.{name}"
        for name in ("load_data_list", "parse_data_info")
    )


def coco_datasets(cfg: Config, split: str) -> list[BaseDataset]:
    """The data sets of a split that read an annotation file of the disk as ``CocoDataset`` does.

    They are built, but have not read it.
    """
    return [
        dataset
        for config, dataset in unread_datasets(cfg, split)
        if _reads_coco(dataset) and is_local(dataset.ann_file, config)
    ]


def annotation_file(cfg: Config, split: str) -> str | None:
    """The annotation file of a split, if there is one such file."""
    files = {dataset.ann_file for dataset in coco_datasets(cfg, split)}
    return files.pop() if len(files) == 1 and Path(*files).is_file() else None


def first_few(values: Sequence, most: int = 5) -> str:
    """The first values in words, and how many more there are."""
    more = [f"{len(values) - most} more"] if len(values) > most else []
    return ", ".join([*map(str, values[:most]), *more])


def _is_box(value: object) -> bool:
    return isinstance(value, list) and len(value) == 4 and set(map(type, value)) <= {int, float}


def _structure(content: object, evaluated: bool) -> Iterator[str]:
    """What a file lacks that its readers take for granted."""
    if not isinstance(content, dict):
        yield " holds no JSON object"
        return
    for part, keys in KEYS.items():
        entries = content.get(part)
        if entries is None and part != "annotations":
            yield f" has no {part}"
        for key in (*keys, "iscrowd") if evaluated and part == "annotations" else keys:
            without = sum(key not in entry for entry in entries or [])
            if without:
                hint = HINTS.get(key, "")
                yield f": {without} of {len(entries)} {part} have no {key!r}{hint}"
    annotations = content.get("annotations") or []
    bad = sum(not _is_box(each["bbox"]) for each in annotations if "bbox" in each)
    if bad:
        yield f": {bad} of {len(annotations)} annotations have a bbox that is not four numbers"


def _classes(categories: list[dict], classes: Sequence[str]) -> Iterator[str]:
    """Where labels, which count the categories in the file's order, are not the classes."""
    if isinstance(classes, str):
        yield f": {classes!r} is no tuple: write classes=({classes!r},)"
        return
    every = [category["name"] for category in categories]
    names = [name for name in every if name in classes]
    absent = [name for name in classes if name not in names]
    if absent:
        folded = {str(name).lower(): name for name in every}
        listed = []
        for name in absent:
            close = [folded[match] for match in get_close_matches(str(name).lower(), folded, 1)]
            listed.append(repr(name) + (f" (did you mean {close[0]!r}?)" if close else ""))
        names = first_few([*map(repr, every)])
        yield f": no category {first_few(listed)}; its categories are {names}"
    elif len(names) > len(classes):
        several = [repr(name) for name, count in Counter(names).items() if count > 1]
        yield f": several categories have the name {first_few(several)}"
    elif names != list(classes):
        label = next(i for i, name in enumerate(classes) if names[i] != name)
        yield (
            f": label {label} is its category {names[label]!r}, but the class {classes[label]!r}: "
            "put its categories into the order of the classes (their ids may stay) or, if all "
            f"files have this order, write classes={tuple(names)}"
        )


class _Annotations:
    """A file's annotations of its pictures, as arrays."""

    def __init__(self, content: dict) -> None:
        self.images = {image["id"]: image for image in content["images"]}
        self.categories = content["categories"]
        annotations = [
            annotation
            for annotation in content.get("annotations") or []
            if annotation["image_id"] in self.images
        ]
        self.ids = np.array([annotation["id"] for annotation in annotations], object)
        self.image_ids = [annotation["image_id"] for annotation in annotations]
        self.category_ids = [annotation["category_id"] for annotation in annotations]
        self.boxes = np.array([each["bbox"] for each in annotations], float).reshape(-1, 4)
        self.areas = np.array([each["area"] for each in annotations], float)
        self.ignored = np.array([bool(each.get("ignore")) for each in annotations], bool)
        sizes = {id: (image["width"], image["height"]) for id, image in self.images.items()}
        self.sizes = np.array([sizes[id] for id in self.image_ids], float).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.boxes)

    def problems(self) -> Iterator[str]:
        """What is wrong whatever the classes are."""
        known = dict.fromkeys(category["id"] for category in self.categories)
        unknown = Counter(id for id in self.category_ids if id not in known)
        if unknown:
            yield (
                f": {unknown.total()} of {len(self)} annotations have a category_id of no "
                f"category: {first_few([*unknown])}; the categories have "
                f"{first_few([*known])}"
            )
        endless = ~(np.isfinite(self.boxes).all(axis=1) & np.isfinite(self.areas))
        if endless.any():
            yield (
                f": {endless.sum()} of {len(self)} annotations have a bbox or an area with NaN, "
                f"infinity or null: those with the id {first_few(self.ids[endless].tolist())}"
            )
        start, size = self.boxes[:, :2], self.boxes[:, 2:]
        far_out = (start + size > 1.1 * self.sizes).any(axis=1)
        corners = ((start < size) & (size <= self.sizes + 1)).all(axis=1)
        if len(self) and far_out.mean() > 0.1 and corners.mean() > 0.95:
            yield (
                f": {far_out.sum()} of {len(self)} boxes leave their picture, but {corners.sum()} "
                "fit when read as two corners: bbox is to be x, y, width, height"
            )

    def left(self, dataset: BaseDataset, least: int) -> Iterator[str]:
        """Whether too little is left for a data set that reads the file.

        Args:
            dataset: The data set.
            least: Pictures that make the smallest batch.
        """
        classes = dataset.metainfo["classes"]
        ids = {category["id"] for category in self.categories if category["name"] in classes}
        of_class = np.array([id in ids for id in self.category_ids], bool)
        start, size = self.boxes[:, :2], self.boxes[:, 2:]
        inside = np.minimum(start + size, self.sizes) - np.maximum(start, 0)
        counts = of_class & ~self.ignored & (self.areas > 0)
        counts &= (inside > 0).all(axis=1) & (size >= 1).all(axis=1)
        if len(self) and not counts.any():
            yield (
                f": none of its {len(self)} annotations counts, since their boxes lie outside the "
                "picture or are smaller than a pixel, or they have no area or no class"
            )
        rule = {} if dataset.test_mode else dataset.filter_cfg or {}
        kept = set(self.images)
        if rule.get("filter_empty_gt"):
            kept &= {self.image_ids[i] for i in np.flatnonzero(of_class)}
        sides = [min(self.images[id]["width"], self.images[id]["height"]) for id in kept]
        left = sum(side >= rule.get("min_size", 0) for side in sides)
        if not left:
            yield f": filter_cfg leaves none of its {len(self.images)} pictures: {dict(rule)}"
        elif left < least:
            yield too_few(left, least)


def too_few(count: int, least: int) -> str:
    """That the pictures do not fill a batch."""
    return (
        f": {count} pictures to train on are less than a batch of {least}, and drop_last leaves "
        "such a batch out: lower train_dataloader.batch_size"
    )


def smallest_batch(cfg: Config, split: str) -> int:
    """Pictures below which a split has no batch at all, if it is one data set."""
    loader = cfg.get(f"{split}_dataloader") or {}
    if loader.get("drop_last") and not {"batch_sampler", "num_batch_per_epoch"} & loader.keys():
        dataset = loader.get("dataset") or {}
        if not {"dataset", "datasets"} & dataset.keys():
            return loader.get("batch_size", 1)
    return 1


def _file_problems(
    file: str, datasets: list, classes: list, evaluated: bool, contents: dict[str, dict]
) -> Iterator[str]:
    print(f"Checking {file} ({os.path.getsize(file) / 1e6:.1f} MB)", flush=True)
    try:
        with open(file, encoding="utf-8") as stream:
            content = json.load(stream)
    except ValueError as error:
        yield f" does not parse: {error}"
        return
    problems = list(_structure(content, evaluated))
    if not problems:
        contents[file] = content
        annotations = _Annotations(content)
        problems = list(annotations.problems())
        for names in classes:
            problems += _classes(annotations.categories, names)
        if not problems:
            for dataset, least in datasets:
                problems += annotations.left(dataset, least)
    yield from problems


def _heads(node: object, name: str) -> Iterator[tuple[str, dict]]:
    """The box heads of a model's config with their places in it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _heads(value, f"{name}.{key}")
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from _heads(value, f"{name}[{i}]")
    if isinstance(node, dict) and name.partition("[")[0].endswith("bbox_head"):
        yield name, node


def head_problems(cfg: Config, classes: Sequence[str]) -> list[str]:
    """Box heads of the config's model that are for another number of classes."""
    return [
        f"{name}.num_classes is {head['num_classes']}, for {len(classes)} classes"
        for name, head in _heads(cfg.get("model"), "model")
        if head.get("num_classes", len(classes)) != len(classes)
    ]


def coco_problems(
    cfg: Config, splits: Sequence[str], contents: dict[str, dict] | None = None
) -> list[str]:
    """What would train or evaluate a detector wrongly, of that which the annotation files tell.

    The data sets are those that number the classes as mmdet's ``CocoDataset`` does: by the order
    of the file's categories, whatever the order in ``metainfo``. Each of their files, and of the
    files that a ``CocoMetric`` compares with, is read once.

    Args:
        cfg: A config with ``{split}_dataloader`` and ``{split}_evaluator`` keys.
        splits: Some of ``'train'``, ``'val'`` and ``'test'``.
        contents: Where it is given, it gets the content of each file that has all it is to have,
            by the file's name.
    """
    contents = {} if contents is None else contents
    datasets: dict[str, list] = {}
    classes: dict[str, list] = {}
    evaluated, trained = set(), None
    for split in splits:
        found = coco_datasets(cfg, split)
        for dataset in found:
            least = smallest_batch(cfg, split)
            datasets.setdefault(dataset.ann_file, []).append((dataset, least))
            classes.setdefault(dataset.ann_file, []).append(dataset.metainfo["classes"])
        if found and split == "train":
            trained = found[0]
        for metric in metric_configs(cfg, split):
            file = metric["ann_file"]
            if found and type_name(metric).endswith("CocoMetric") and is_local(file, metric):
                classes.setdefault(file, []).append(found[0].metainfo["classes"])
                evaluated.add(file)

    problems = []
    for file, lists in classes.items():
        found = _file_problems(file, datasets.get(file, []), lists, file in evaluated, contents)
        problems += [f"{file}{problem}" for problem in found]
    # "if trained" would ask for its length, and so read it.
    if trained is not None:
        labels = trained.metainfo["classes"]
        for file, lists in classes.items():
            problems += [
                f"{file}: label {i} is {name!r}, but {label!r} in {trained.ann_file}"
                for names in lists
                for i, (label, name) in enumerate(zip(labels, names, strict=False))
                if name != label
            ][:1]
        problems += head_problems(cfg, labels)
    return list(dict.fromkeys(problems))


def check_coco_annotations(cfg: Config, splits: Sequence[str]) -> None:
    """Raise if annotation files would train or evaluate a detector wrongly.

    Args:
        cfg, splits: See :func:`coco_problems`.

    Raises:
        ValueError: It lists every problem: keys that are missing, classes that are no category or
            stand in another order, ``category_id`` without a category, boxes given by their
            corners, nothing or no batch left to train on, a head for another number of classes.
    """
    problems = coco_problems(cfg, splits)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UserValueError(f"{cfg.filename} and its annotations do not fit:\n{lines}")
