"""The whole check of a detector's data, which decodes every picture."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from PIL import Image, ImageOps, UnidentifiedImageError

from mmhadaptive.io.images import read_image
from mmhadaptive.io.user_errors import UserError, UserValueError

from .annotated_pictures import AnnotatedPictures, from_coco, from_voc
from .coco_annotations import (
    coco_datasets,
    coco_problems,
    first_few,
    head_problems,
    smallest_batch,
    too_few,
)
from .data_files import is_local, unread_datasets


@dataclass
class DataReport:
    """What the annotations of some splits say, and what is wrong with them.

    Attributes:
        splits: The annotation files of each split.
        problems: Sentences that begin with the name of a file.
        notes: The same for what need not be wrong.
    """

    splits: dict[str, list[AnnotatedPictures]]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def pictures(self) -> dict[str, tuple[float, float]]:
        """Width and height of each picture of the disk as the annotations say, by its path."""
        return {
            path: tuple(size)
            for files in self.splits.values()
            for read in files
            for path, size in zip(read.paths, read.sizes.tolist(), strict=True)
            if is_local(path)
        }

    def counts(self) -> tuple[list[str], list[list]]:
        """Boxes of each class, and pictures that have one, by splits: a head and rows."""
        head, columns = ["class"], []
        for split, files in self.splits.items():
            boxes, pictures = Counter(), Counter()
            for read in files:
                for total, counted in zip((boxes, pictures), read.counts(), strict=True):
                    total.update(counted)
            head += [f"{split}: boxes", "pictures"]
            columns += [boxes, pictures]
        classes = dict.fromkeys(
            name for files in self.splits.values() for read in files for name in read.classes
        )
        return head, [[name, *(column[name] for column in columns)] for name in classes]


def _reads_voc(dataset: object) -> bool:
    # By name, since mmdet need not be there for a classifier.
    return all(
        getattr(getattr(dataset, name, None), "__qualname__", "") == f"XMLDataset.{name}"
        for name in ("load_data_list", "parse_data_info")
    )


def _voc_datasets(cfg: Config, split: str) -> list[BaseDataset]:
    """Those of a split that read a list of VOC's form on the disk, built without reading it."""
    return [
        dataset
        for config, dataset in unread_datasets(cfg, split)
        if _reads_voc(dataset) and is_local(dataset.ann_file, config)
    ]


def _check_voc(cfg: Config, split: str) -> tuple[list[AnnotatedPictures], list[str]]:
    """What a split's sets of VOC's form say, and what would train or evaluate wrongly in them."""
    files, problems = [], []
    for dataset in _voc_datasets(cfg, split):
        read = from_voc(dataset)
        files.append(read)
        problems += [f"{read.file}{each}" for each in read.problems]
        if split == "train":
            problems += head_problems(cfg, read.classes)
            rule = dataset.filter_cfg or {}
            owners = read.owners[read.of_class()]
            count = len(np.unique(owners)) if rule.get("filter_empty_gt") else len(read)
            if 0 < count < smallest_batch(cfg, split):
                problems.append(f"{read.file}{too_few(count, smallest_batch(cfg, split))}")
    return files, problems


def check_voc_annotations(cfg: Config, splits: Sequence[str]) -> None:
    """Raise if annotations of VOC's form would train or evaluate a detector wrongly.

    Args:
        cfg: A config with ``{split}_dataloader`` keys.
        splits: Some of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        ValueError: It lists every problem: annotations that are missing or do not parse, classes
            that no object has, a head for another number of classes, too few pictures for a batch.
    """
    problems = [each for split in splits for each in _check_voc(cfg, split)[1]]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
        raise UserValueError(f"{cfg.filename} and its annotations do not fit:\n{lines}")


def check_annotations(cfg: Config, splits: Sequence[str]) -> DataReport:
    """Read the annotation files of a config's splits, of COCO's or VOC's form.

    Args:
        cfg: A config with ``{split}_dataloader`` and ``{split}_evaluator`` keys.
        splits: Some of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        UserError: No data set of the splits has such a form.
    """
    contents: dict[str, dict] = {}
    report = DataReport({split: [] for split in splits}, coco_problems(cfg, splits, contents))
    found = 0
    for split in splits:
        datasets = coco_datasets(cfg, split)
        found += len(datasets)
        # A file without what every reader takes for granted has its problems already.
        report.splits[split] += [
            from_coco(contents[each.ann_file], each)
            for each in datasets
            if each.ann_file in contents
        ]
        files, problems = _check_voc(cfg, split)
        found += len(files)
        report.splits[split] += files
        report.problems += problems
    if not found:
        raise UserError(
            f"{cfg.filename} has no data set of COCO's or VOC's form for {' or '.join(splits)}"
        )
    for files in report.splits.values():
        for read in files:
            report.problems += [f"{read.file}{each}" for each in read.problems]
            report.problems += [f"{read.file}{each}" for each in read.box_problems()]
            report.notes += [f"{read.file}{each}" for each in read.notes()]
    report.problems = list(dict.fromkeys(report.problems))
    report.notes = list(dict.fromkeys(report.notes))
    return report


def _check_picture(path: str, size: tuple[float, float]) -> tuple[str, str] | None:
    """The kind of a picture's problem and the picture, if it has one."""
    if not os.path.isfile(path):
        return "are missing", path
    try:
        # A cut picture is half grey to OpenCV, which reads it in training, but an error to Pillow.
        with Image.open(path) as picture:
            ImageOps.exif_transpose(picture).load()
    except (UnidentifiedImageError, Image.DecompressionBombError):
        pass  # Of a format or a size that only OpenCV takes.
    except Exception as error:
        return "do not decode", f"{path} ({error})"
    try:
        height, width = read_image(path).shape[:2]
    except Exception:
        return "do not decode", path
    if np.isfinite(size).all() and (width, height) != size:
        said = f"{size[0]:g}x{size[1]:g}"
        turned = ", turned by its EXIF data" if (height, width) == size else ""
        return (
            "have another size than the annotations say",
            f"{path} ({width}x{height}{turned}, not {said})",
        )
    return None


def check_pictures(
    pictures: dict[str, tuple[float, float]],
) -> Iterator[tuple[str, str] | None]:
    """Decode pictures, several at a time.

    Args:
        pictures: Their width and height, NaN where unknown, by their paths.

    Yields:
        For each picture None, or what is wrong with it and its name.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(_check_picture, pictures.keys(), pictures.values())


def picture_problems(found: Iterable[tuple[str, str] | None]) -> list[str]:
    """The sentences for what :func:`check_pictures` yields."""
    kinds: dict[str, list[str]] = {}
    total = 0
    for each in found:
        total += 1
        if each:
            kinds.setdefault(each[0], []).append(each[1])
    return [
        f"{len(paths)} of {total} pictures {kind}: {first_few(paths, 3)}"
        for kind, paths in kinds.items()
    ]
