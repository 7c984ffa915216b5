"""Find out before a run starts whether its data are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mmengine.config import Config


def _dataset_paths(dataset: Mapping) -> Iterator[Path]:
    """What a dataset's config reads, wrapped datasets included.

    These are annotation files and image folders, or the root where it names neither.
    """
    for inner in [dataset.get("dataset"), *(dataset.get("datasets") or [])]:
        if inner is not None:
            yield from _dataset_paths(inner)
    root = Path(dataset.get("data_root") or "")
    prefix = dataset.get("data_prefix") or {}
    prefixes = prefix.values() if isinstance(prefix, Mapping) else [prefix]
    names = [name for name in (dataset.get("ann_file"), *prefixes) if name]
    if names or dataset.get("data_root"):
        yield from (root / name for name in names or [""])


def check_data_files(cfg: Config, splits: tuple[str, ...]) -> None:
    """Raise if a file or folder that the loaders of ``splits`` read is missing.

    Args:
        cfg: A config with ``{split}_dataloader`` keys and, optionally, ``data_source``: a sentence
            that says how to get the data.
        splits: Some of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        FileNotFoundError: It lists every missing path and quotes ``data_source``.
    """
    missing = []
    for split in splits:
        loader = cfg.get(f"{split}_dataloader") or {}
        for path in _dataset_paths(loader.get("dataset") or {}):
            if not path.exists() and path not in missing:
                missing.append(path)
    if missing:
        listed = "\n".join(f"  {path}" for path in missing)
        source = f"\n{cfg.data_source}" if cfg.get("data_source") else ""
        raise FileNotFoundError(f"{cfg.filename} needs data that are missing:\n{listed}{source}")
