"""A small search that the tests of this folder share."""

import copy
import itertools

import numpy as np
from mmengine.config import Config

from mmhadaptive.engine.launch import build_runner

from ..paths import CONFIGS

ARCH = [
    [("conv", 8, 2, 2, "HSwish")],
    [
        [("ghost", 12, 2, 2, 2), ("ach", 12, 4, 2, 2, "DySig")],
        dict(Ghost=("ghost", 12, 2, 3, 1), ACH=("ach", 12, 4, 3), Blank=("blank", 12)),
    ],
]
BASE = "mmhadaptive::classification/cifar100/hadaptive_s_cifar100.py"
_CONFIG = Config.fromfile(CONFIGS / "nas" / "hadaptive_gdas_ach_variants_cifar100.py")
names = itertools.count()


def write_images(folder, train=44, test=10):
    """Images of four colours: with 44, two halves of 22, so 5 batches of 4 an epoch."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (4, 3))
    for split, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 4
        images = colours[labels][:, None, None] + rng.normal(0, 20, (count, 32, 32, 3))
        np.savez(
            folder / f"{split}.npz", images=np.clip(images, 0, 255).astype(np.uint8), labels=labels
        )
    return folder


def search_config(folder, work_dir, epochs=2, **options):
    """The paper's search, of the small space and with small images."""
    cfg = copy.deepcopy(_CONFIG)
    cfg.model.backbone.update(arch=ARCH, final_channels=16)
    cfg.model.head.update(in_channels=16, mid_channels=[8], topk=(1,))
    cfg.data_preprocessor.size = 32
    cfg.train_dataloader.batch_size = 4
    cfg.train_dataloader.dataset.dataset.data_root = str(folder)
    cfg.train_cfg.max_epochs = epochs
    cfg.param_scheduler.weights[0].update(end=epochs, T_max=epochs)
    cfg.log_level = "ERROR"
    cfg.launcher = "none"
    cfg.work_dir = str(work_dir)
    cfg.merge_from_dict(options)
    cfg.experiment_name = f"search{next(names)}"
    return cfg


def search(cfg):
    """Run a search; returns its runner."""
    runner = build_runner(cfg)
    runner.train()
    return runner
