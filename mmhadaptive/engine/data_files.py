"""Find out before a run starts whether its data are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope


def dataset_configs(node: object) -> Iterator[dict]:
    """Configs of the data sets below a loader, a wrapper or a list of them."""
    if isinstance(node, (list, tuple)):
        for inner in node:
            yield from dataset_configs(inner)
    elif isinstance(node, dict):
        wrapped = [node.get("dataset"), node.get("datasets")]
        if any(isinstance(inner, (dict, list, tuple)) for inner in wrapped):
            yield from dataset_configs(wrapped)
        elif "type" in node:
            yield node


def _build_unread(config: dict) -> BaseDataset | None:
    with DATASETS.switch_scope_and_registry(None) as registry:
        kind = config["type"]
        try:
            kind = registry.get(kind) if isinstance(kind, str) else kind
            if issubclass(kind, BaseDataset):
                return registry.build(dict(config, pipeline=[], lazy_init=True))
        except Exception:
            # The Runner builds it again, and its error is the right one.
            return None
    return None


def unread_datasets(cfg: Config, split: str) -> list[tuple[dict, BaseDataset]]:
    """The data sets of a split, built without reading their data.

    Only the class of a data set knows which files its config stands for: how it joins paths,
    whether it expands ``~``, whether it downloads them.

    Args:
        cfg: A config with the key ``{split}_dataloader``.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Returns:
        Pairs of a config and its data set. Wrappers stand for what they wrap; data sets that are
        not mmengine's or do not build are left out.
    """
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        pairs = [
            (config, _build_unread(config))
            for config in dataset_configs(cfg.get(f"{split}_dataloader"))
        ]
    return [(config, dataset) for config, dataset in pairs if dataset is not None]


def metric_configs(cfg: Config, split: str) -> list[dict]:
    """Configs of a split's metrics that read an annotation file of their own."""
    evaluator = cfg.get(f"{split}_evaluator") or []
    evaluators = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    return [each for each in evaluators if isinstance(each, dict) and each.get("ann_file")]


def type_name(config: dict) -> str:
    """The class's name of a config, whose ``type`` may be a class or have a scope."""
    return getattr(config["type"], "__name__", str(config["type"])).rpartition(".")[2]


def is_local(path: str, *configs: dict) -> bool:
    """Whether a path, read with the configs' ``backend_args``, is one of the local disk."""
    backends = [(config.get("backend_args") or {}).get("backend", "local") for config in configs]
    return "://" not in path and all(backend == "local" for backend in backends)


def _flat(value: object) -> Iterator[str]:
    if isinstance(value, (str, os.PathLike)) and str(value):
        yield str(value)
    elif isinstance(value, dict):
        yield from _flat(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _flat(inner)


def _missing(config: dict, paths: object, downloads: bool = False) -> Iterator[str]:
    """Paths of the local disk that are not there, in words."""
    for path in _flat(paths):
        if not is_local(path, config, *config.get("pipeline", [])) or os.path.exists(path):
            continue
        if path.startswith("~"):
            yield f"{path} ({type_name(config)} does not expand ~: write the folder in full)"
        elif not downloads:
            yield path


def check_data_files(cfg: Config, splits: tuple[str, ...]) -> None:
    """Raise if a file or folder that the loaders and metrics of ``splits`` read is missing.

    Files of another backend than the local disk, and those of data sets that download them, are
    not looked for.

    Args:
        cfg: A config with ``{split}_dataloader`` keys and, optionally, ``data_source``: sentences
            that say how to get the data, by the folder that is to hold them.
        splits: Some of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        FileNotFoundError: It lists every missing path and quotes ``data_source`` for its folder.
    """
    missing = {}
    for split in splits:
        for config, dataset in unread_datasets(cfg, split):
            paths = [dataset.ann_file, dataset.data_prefix]
            downloads = getattr(dataset, "download", False)
            missing.update(dict.fromkeys(_missing(config, paths, downloads)))
        for config in metric_configs(cfg, split):
            missing.update(dict.fromkeys(_missing(config, config["ann_file"])))
    if missing:
        sources = [
            source
            for folder, source in (cfg.get("data_source") or {}).items()
            if any(
                Path(path).absolute().is_relative_to(Path(folder).absolute()) for path in missing
            )
        ]
        listed = "\n".join([*(f"  {path}" for path in missing), *sources])
        raise FileNotFoundError(f"{cfg.filename} needs data that are missing:\n{listed}")
