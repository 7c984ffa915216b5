"""The batches that a config's loader gives, without a Runner."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, set_random_seed
from torch import nn
from torch.utils.data import DataLoader

from mmhadaptive.io.user_errors import UserError, blame_config


def build_loader(cfg: Config, split: str, batch_size: int, seed: int) -> DataLoader:
    """The loader of a split in this process, for small batches.

    Raises:
        UserError: The config has none, or its keys or values do not fit.
    """
    loader = cfg.get(f"{split}_dataloader")
    if not loader:
        raise UserError(f"{cfg.filename} has no {split}_dataloader")
    loader = {key: value for key, value in loader.items() if key != "prefetch_factor"}
    loader |= dict(num_workers=0, persistent_workers=False, drop_last=False)
    loader["batch_size"] = min(batch_size, loader.get("batch_size", batch_size))
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), blame_config():
        return Runner.build_dataloader(loader, seed=seed)


def iterate(cfg: Config, loader: DataLoader, seed: int) -> Iterator[dict]:
    """The batches of an epoch, the same for the same seed."""
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        set_random_seed(seed)
        yield from loader


def build_preprocessor(cfg: Config) -> nn.Module:
    """The data preprocessor of a classifier."""
    config = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), blame_config():
        return MODELS.build(dict(dict(type="ClsDataPreprocessor"), **config))
