"""CIFAR-100 from the standard pickles or from .npz files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from mmpretrain.datasets.categories import CIFAR100_CATEGORIES
from mmpretrain.registry import DATASETS

from mmhadaptive.io.restricted_pickle import load_restricted_pickle

from .npz_images import NpzImages


@DATASETS.register_module()
class CIFAR100Files(NpzImages):
    """CIFAR-100, all images in memory as one array.

    Args:
        data_root: A folder with ``{split}.npz`` of 32x32 images, or the pickles
            ``cifar-100-python/{split}`` or ``{split}`` (``data``, ``fine_labels``). No checksum is
            asked for.
        split: ``'train'`` or ``'test'``.
        kwargs: Those of :class:`NpzImages`: fraction, subset_seed, indices, pipeline.

    Raises:
        FileNotFoundError: None of the files is there.
        ValueError: The file is damaged, or an argument is out of range.
    """

    METAINFO: ClassVar[dict] = {"classes": CIFAR100_CATEGORIES}

    def __init__(self, data_root: str, split: str = "train", **kwargs) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"split must be 'train' or 'test', got {split!r}")
        super().__init__(data_root, split, **kwargs)

    def candidates(self) -> list[str]:
        return [f"{self.split}.npz", f"cifar-100-python/{self.split}", self.split]

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        if path.suffix == ".npz":
            return super().read(path)
        entries = load_restricted_pickle(path)
        data = np.asarray(entries["data"])
        if data.ndim != 2 or data.shape[1] != 3072:
            raise ValueError(f"data has the shape {data.shape}, not (N, 3072)")
        images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return images, np.asarray(entries["fine_labels"])

    def problem(self, images: np.ndarray, labels: np.ndarray) -> str | None:
        if images.shape[1:] != (32, 32, 3):
            return f"images are {images.dtype} {images.shape}, not uint8 (N, 32, 32, 3)"
        return super().problem(images, labels)
