"""The pictures of a training as a test sees them, to measure or to calibrate a network over."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, DataLoader, Subset

from mmhadaptive.io.user_errors import UserError, blame_config

from .data_files import dataset_configs


def training_pictures(cfg: Config, number: int, seed: int = 0) -> DataLoader:
    """Batches of pictures that the config trains on, by the pipeline of its test.

    There is no augmentation, and no wrapper of data sets, such as one that mixes pictures.

    Args:
        cfg: A config of mmdet's or mmpretrain's form.
        number: How many pictures to draw; all of them where there are fewer.
        seed: Of the draw.

    Raises:
        UserError: The config has no loader for one of both, its keys or values do not fit, or
            there is no picture.
    """
    for split in ("train", "test"):
        if not cfg.get(f"{split}_dataloader"):
            raise UserError(f"{cfg.filename} has no {split}_dataloader")
    tested = next(dataset_configs(cfg.test_dataloader))
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), blame_config():
        datasets = [
            DATASETS.build(dict(config, pipeline=tested["pipeline"]))
            for config in dataset_configs(cfg.train_dataloader)
        ]
        pictures = ConcatDataset(datasets)
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(pictures), generator=generator)[:number].tolist()
        if not chosen:
            raise UserError(f"{cfg.filename}: there are no pictures to train on")
        loader = {k: v for k, v in cfg.test_dataloader.items() if k != "prefetch_factor"}
        loader |= dict(
            dataset=Subset(pictures, sorted(chosen)),
            sampler=dict(type="DefaultSampler", shuffle=False),
            num_workers=0,
            persistent_workers=False,
            drop_last=False,
        )
        return Runner.build_dataloader(loader)
