"""Counts before and after a replacement are those of the record and of a count by hooks."""

import json
from functools import partial

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmhadaptive.analysis.replaced import replaced_complexity, replaced_table

from ..paths import CONFIGS, RESULTS
from .count_by_hooks import count_by_hooks

NAME = "mobilenetv3_small_ach_9_10_cifar100"


def test_a_replaced_network():
    path = CONFIGS / "replacement" / f"{NAME}.py"
    entry = replaced_complexity(path)
    (recorded,) = (
        each
        for each in json.loads((RESULTS / "replacement.json").read_text())["networks"]
        if each["config"] == NAME
    )
    assert json.loads(json.dumps(entry)) == recorded
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        for model_cfg, macs in zip((cfg.model.model, cfg.model), entry["macs"], strict=True):
            model = MODELS.build(model_cfg).eval()
            assert macs == count_by_hooks(model, partial(model, torch.zeros(1, 3, 224, 224)))
    *_, row = replaced_table([entry]).splitlines()
    assert row == (
        "| mobilenetv3_small | `layer10 to layer11` | 32 | 1.620 → 1.551 | 55.589 → 51.331 "
        "| 1.62 M, 56 M (+0.0 %, -0.7 %) |"
    )
