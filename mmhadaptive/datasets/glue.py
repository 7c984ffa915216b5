"""SST-2 and MNLI from the files of GLUE."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from .balanced_subset import balanced_subset


@dataclass(frozen=True)
class Task:
    """The columns of a task's files, and its labels in the order of their numbers."""

    texts: tuple[str, ...]
    label: str
    labels: tuple[str, ...]
    # Marks samples on which the annotators did not agree.
    no_label: str | None = None


TASKS = {
    "sst2": Task(("sentence",), "label", ("0", "1")),
    "mnli": Task(
        ("sentence1", "sentence2"), "gold_label", ("entailment", "neutral", "contradiction"), "-"
    ),
}


def read_glue(path: str | Path, task: str) -> list[dict]:
    """Read one file.

    Args:
        path: A ``.tsv`` file of GLUE, with a header and without quoting.
        task: ``'sst2'`` or ``'mnli'``.

    Returns:
        For each sample that has a label, ``text``, one or two sentences, and ``label``, a number.

    Raises:
        ValueError: The file lacks a column, a cell or a label; the message names it and the line.
    """
    columns = TASKS[task]
    samples = []
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(rows, [])
        for name in (*columns.texts, columns.label):
            if name not in header:
                raise ValueError(f"{path} has no column {name}; its columns are {header}")
        places = [header.index(name) for name in columns.texts]
        label_place = header.index(columns.label)
        for number, row in enumerate(rows, 2):
            if len(row) <= max(*places, label_place):
                raise ValueError(f"{path}, line {number}: {len(row)} columns, not {len(header)}")
            label = row[label_place]
            if label == columns.no_label:
                continue
            if label not in columns.labels:
                raise ValueError(
                    f"{path}, line {number}: label {label!r} is none of {columns.labels}"
                )
            text = tuple(row[place] for place in places)
            samples.append(dict(text=text, label=columns.labels.index(label)))
    if not samples:
        raise ValueError(f"{path} has no samples")
    return samples


@DATASETS.register_module()
class GLUEFiles(BaseDataset):
    """A split of SST-2 or MNLI, read from GLUE's files.

    Args:
        data_root: The folder with the ``.tsv`` files.
        task: ``'sst2'`` or ``'mnli'``.
        split: Name of the file, such as ``'train'``, ``'dev'`` or ``'dev_matched'``.
        fraction: Part of every class to keep.
        subset_seed: Chooses that part.
        **kwargs: Further arguments of mmengine's ``BaseDataset``. Transforms of the pipeline, such
            as :class:`WordPieces`, get ``text``, one or two sentences, and ``label``.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: The file is damaged, or an argument is out of range.
    """

    def __init__(
        self,
        data_root: str,
        task: str,
        split: str,
        fraction: float = 1.0,
        subset_seed: int = 0,
        **kwargs,
    ) -> None:
        if task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
        self.task = task
        self.fraction = fraction
        self.subset_seed = subset_seed
        super().__init__(
            ann_file=f"{split}.tsv",
            data_root=data_root,
            data_prefix={},
            metainfo=dict(classes=TASKS[task].labels),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        samples = read_glue(self.ann_file, self.task)
        labels = np.array([sample["label"] for sample in samples])
        kept = balanced_subset(labels, self.fraction, self.subset_seed)
        return [samples[index] for index in kept]
