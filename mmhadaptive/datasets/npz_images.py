"""Images of one size and their labels, from .npz files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .balanced_subset import balanced_subset


@DATASETS.register_module()
class NpzImages(BaseDataset):
    """Labelled images of one size, all in memory as one array, for stock pipelines and in-memory
    batches.

    Args:
        data_root: A folder with ``{split}.npz``, which holds ``images`` ``(N, H, W, 3)`` uint8 RGB
            and ``labels`` ``(N,)``.
        split: Name of the file.
        fraction: Part of every class to keep.
        subset_seed: Chooses that part.
        indices: Images to keep of these: the first n, or a sequence of indices.
        pipeline: mmpretrain's transforms; they get ``img`` ``(H, W, 3)``, BGR as they read from
            image files, and ``gt_label``; the data preprocessor is to have ``to_rgb=True``.
        metainfo: ``dict(classes=...)``; labels must be in their range.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: The file is damaged, or an argument is out of range.
    """

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

    def candidates(self) -> list[str]:
        """The names that the file may have in ``data_root``, of which the first is read."""
        return [f"{self.split}.npz"]

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Images ``(N, H, W, 3)`` and labels ``(N,)`` of the file, as they are."""
        with np.load(path, allow_pickle=False) as file:
            return file["images"], file["labels"]

    def problem(self, images: np.ndarray, labels: np.ndarray) -> str | None:
        """What is wrong with the content of the file."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
            return f"images are {images.dtype} {images.shape}, not uint8 (N, H, W, 3)"
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            return f"labels are {labels.dtype} {labels.shape} for {len(images)} images"
        if labels.min() < 0 or labels.max() >= self.num_classes:
            return f"labels span {labels.min()}..{labels.max()}, not 0..{self.num_classes - 1}"
        return None

    @property
    def num_classes(self) -> int:
        return len(self.CLASSES or ())

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        root, names = Path(self.data_root), self.candidates()
        paths = [root / name for name in names if (root / name).is_file()]
        if not paths:
            raise FileNotFoundError(f"{root} has none of {', '.join(names)}")
        try:
            images, labels = self.read(paths[0])
        except FileNotFoundError:
            raise
        # zipfile, zlib, NumPy and pickle have errors of their own for a damaged file.
        except Exception as error:
            raise ValueError(f"{paths[0]} holds no images and labels: {error}") from error
        problem = self.problem(images, labels)
        if problem:
            raise ValueError(f"{paths[0]}: {problem}")
        labels = labels.astype(np.int64)
        kept = np.arange(len(labels))
        if self.fraction != 1:
            kept = balanced_subset(labels, self.fraction, self.subset_seed)
        if self._indices is not None:
            few = isinstance(self._indices, int)
            kept = kept[: self._indices] if few else kept[np.asarray(self._indices)]
        self.images, self.labels = np.ascontiguousarray(images[kept]), labels[kept]
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
