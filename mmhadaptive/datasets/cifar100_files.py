"""CIFAR-100 from the standard pickles or from .npz files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.datasets.categories import CIFAR100_CATEGORIES
from mmpretrain.registry import DATASETS

from mmhadaptive.io.restricted_pickle import load_restricted_pickle

from .balanced_subset import balanced_subset

NUM_CLASSES = 100


def read_cifar100(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one split.

    Args:
        path: A pickle of ``cifar-100-python`` (``data``, ``fine_labels``), or an ``.npz`` file with
            ``images`` ``(N, 32, 32, 3)`` uint8 RGB and ``labels`` ``(N,)``. No checksum is asked
            for.

    Returns:
        Images ``(N, 32, 32, 3)`` uint8 RGB, labels ``(N,)`` int64.

    Raises:
        ValueError: The file is damaged or has the wrong content; the message names it.
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                images, labels = file["images"], file["labels"]
        else:
            entries = load_restricted_pickle(path)
            images = np.asarray(entries["data"])
            labels = np.asarray(entries["fine_labels"])
            if images.ndim != 2 or images.shape[1] != 3072:
                raise ValueError(f"data has the shape {images.shape}, not (N, 3072)")
            images = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error
    # zipfile, zlib and NumPy have errors of their own for a damaged archive.
    except Exception as error:
        raise ValueError(f"{path} is not CIFAR-100: {error}") from error
    problem = None
    if images.dtype != np.uint8 or images.shape[1:] != (32, 32, 3) or not len(images):
        problem = f"images are {images.dtype} {images.shape}, not uint8 (N, 32, 32, 3)"
    elif labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        problem = f"labels are {labels.dtype} {labels.shape} for {len(images)} images"
    elif labels.min() < 0 or labels.max() >= NUM_CLASSES:
        problem = f"labels span {labels.min()}..{labels.max()}, not 0..{NUM_CLASSES - 1}"
    if problem:
        raise ValueError(f"{path}: {problem}")
    return np.ascontiguousarray(images), labels.astype(np.int64)


@DATASETS.register_module()
class CIFAR100Files(BaseDataset):
    """CIFAR-100, all images in memory as one array, for stock pipelines and in-memory batches.

    Args:
        data_root: A folder with ``{split}.npz``, ``cifar-100-python/{split}`` or ``{split}``.
        split: ``'train'`` or ``'test'``.
        fraction: Part of every class to keep.
        subset_seed: Chooses that part.
        indices: Images to keep of these: the first n, or a sequence of indices.
        pipeline: mmpretrain's transforms; they get ``img`` (32, 32, 3), BGR as they read from
            image files, and ``gt_label``; the data preprocessor is to have ``to_rgb=True``.

    Raises:
        FileNotFoundError: None of the files is there.
        ValueError: The file is damaged, or an argument is out of range.
    """

    METAINFO: ClassVar[dict] = {"classes": CIFAR100_CATEGORIES}

    def __init__(
        self,
        data_root: str,
        split: str = "train",
        fraction: float = 1.0,
        subset_seed: int = 0,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence = (),
        test_mode: bool = False,
        metainfo: dict | None = None,
        lazy_init: bool = False,
    ) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"split must be 'train' or 'test', got {split!r}")
        self.split = split
        self.fraction = fraction
        self.subset_seed = subset_seed
        super().__init__(
            ann_file="",
            metainfo=metainfo,
            data_root=os.path.expanduser(data_root),
            indices=indices,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        root = Path(self.data_root)
        names = (f"{self.split}.npz", f"cifar-100-python/{self.split}", self.split)
        paths = [root / name for name in names if (root / name).is_file()]
        if not paths:
            raise FileNotFoundError(f"{root} has none of {', '.join(names)}")
        images, labels = read_cifar100(paths[0])
        kept = np.arange(len(labels))
        if self.fraction != 1:
            kept = balanced_subset(labels, self.fraction, self.subset_seed)
        if self._indices is not None:
            few = isinstance(self._indices, int)
            kept = kept[: self._indices] if few else kept[np.asarray(self._indices)]
        self.images, self.labels = images[kept], labels[kept]
        self._fully_initialized = True

    def __len__(self) -> int:
        self.full_init()
        return len(self.labels)

    def get_data_info(self, idx: int) -> dict:
        """One image as mmpretrain's transforms take it."""
        self.full_init()
        image = np.ascontiguousarray(self.images[idx][..., ::-1])
        return dict(
            img=image,
            img_shape=image.shape[:2],
            ori_shape=image.shape[:2],
            gt_label=int(self.labels[idx]),
            sample_idx=idx,
        )
