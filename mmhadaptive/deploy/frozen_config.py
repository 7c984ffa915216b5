"""The config of a model whose selection is frozen."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope

import mmhadaptive.layers  # noqa: F401  registers them

# Layers that take `selection` themselves.
LAYERS = ("AdaptiveCrossHadamard", "ACHPlugin")


def _configs(node: object) -> Iterator[dict]:
    """All dicts with a type below a config."""
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for inner in node:
            yield from _configs(inner)


def _takes_ach_cfg(kind: str) -> bool:
    found = MODELS.get(kind)
    return inspect.isclass(found) and "ach_cfg" in inspect.signature(found).parameters


def frozen_config(cfg: Config, checkpoint: str) -> Config:
    """The config that builds what :func:`~mmhadaptive.deploy.freeze_selection` leaves.

    Every part of the model that takes ``ach_cfg`` has ``selection='fixed'`` in it; a training
    begins with the frozen weights, and no backbone loads others.

    Args:
        cfg: The config of the model before. It is not changed.
        checkpoint: The file with the frozen weights.
    """
    frozen = copy.deepcopy(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        for part in list(_configs(frozen.model)):
            if part["type"].rpartition(".")[2] in LAYERS:
                part["selection"] = "fixed"
            elif _takes_ach_cfg(part["type"]):
                part["ach_cfg"] = ConfigDict({**(part.get("ach_cfg") or {}), "selection": "fixed"})
            if (part.get("init_cfg") or {}).get("type") == "Pretrained":
                del part["init_cfg"]
    frozen.load_from = checkpoint
    frozen.resume = False
    return frozen
