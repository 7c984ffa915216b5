"""The pictures of a test, with the classes of each."""

from __future__ import annotations

import os

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset, Subset

from mmhadaptive.io.user_errors import UserError, blame_config


def classes_of(dataset: Dataset, index: int) -> set[int] | None:
    """The classes of a picture: its label, or those of its boxes; None if the data set has none."""
    if hasattr(dataset, "get_cat_ids"):
        return {int(label) for label in dataset.get_cat_ids(index)}
    if hasattr(dataset, "labels"):
        return {int(dataset.labels[index])}
    return None


def pictures_of_test(
    cfg: Config, number: int | None = None, seed: int = 0
) -> tuple[DataLoader, list[set[int]] | None, tuple[str, ...]]:
    """Batches of the pictures that a config tests on, in the order of the data set.

    Args:
        cfg: A config of mmdet's or mmpretrain's form.
        number: How many pictures to draw; all of them by default, and where there are fewer.
        seed: Of the draw.

    Returns:
        The loader; the classes of every picture, None if the data set does not tell them; the names
        of the classes.

    Raises:
        UserError: The config has no test_dataloader, its keys or values do not fit, or there is no
            picture.
    """
    if not cfg.get("test_dataloader"):
        raise UserError(f"{cfg.filename} has no test_dataloader")
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), blame_config():
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        if hasattr(dataset, "full_init"):
            dataset.full_init()
        chosen = list(range(len(dataset)))
        if number is not None and number < len(dataset):
            generator = torch.Generator().manual_seed(seed)
            chosen = sorted(torch.randperm(len(dataset), generator=generator)[:number].tolist())
        if not chosen:
            raise UserError(f"{cfg.filename}: there are no pictures to test on")
        # Loaders that count batches would count those of the whole set.
        kept = ("batch_size", "collate_fn", "pin_memory", "num_workers")
        loader = {key: cfg.test_dataloader[key] for key in kept if key in cfg.test_dataloader}
        # More than cores would only bring a warning.
        loader["num_workers"] = min(loader.get("num_workers", 0), os.cpu_count() or 1)
        loader |= dict(
            dataset=Subset(dataset, chosen), sampler=dict(type="DefaultSampler", shuffle=False)
        )
        loader = Runner.build_dataloader(loader)
    labels = [classes_of(dataset, index) for index in chosen]
    names = tuple((getattr(dataset, "metainfo", None) or {}).get("classes") or ())
    return loader, None if None in labels else labels, names
