"""The config of a searched architecture."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mmengine.config import Config

from mmhadaptive.analysis.complexity import config_complexity
from mmhadaptive.analysis.input_size import input_size
from mmhadaptive.io.user_errors import UserValueError


def base_config(path: str) -> Config:
    """The config that trains what is found, from which only the architecture is left out.

    Args:
        path: Of a file, or ``'PACKAGE::NAME'`` as in ``_base_``.

    Raises:
        ValueError: Its backbone is no Hadaptive-Net.
    """
    cfg = Config.fromstring(f"_base_ = {_base(path)!r}", ".py")
    backbone = cfg.get("model", {}).get("backbone", {}).get("type")
    if backbone != "HadaptiveNet":
        raise UserValueError(f"{path} is to have a HadaptiveNet as its backbone, got {backbone}")
    return cfg


def _base(path: str) -> str:
    return path if "::" in path else os.path.abspath(path)


def searched_complexity(base: str, arch: Sequence[Sequence], size: Sequence[int] | None) -> dict:
    """``parameters``, ``macs`` and the ``size`` (height, width) of an architecture in a config.

    Args:
        base: See :func:`base_config`.
        arch: The architecture.
        size: Height and width of the image, by default those of the config.
    """
    cfg = base_config(base)
    cfg.model.backbone.arch = arch
    size = tuple(size or input_size(cfg))
    counts = config_complexity(cfg, size)
    return dict(parameters=counts["parameters"], macs=counts["macs"], size=size)


def searched_config(base: str, arch: Sequence[Sequence], counts: dict, origin: str) -> str:
    """The text of a config that trains an architecture as ``base`` trains its own.

    Args:
        base: See :func:`base_config`.
        arch: The architecture.
        counts: Of :func:`searched_complexity`.
        origin: Where it comes from, one line.
    """
    height, width = counts["size"]
    stages = "".join(
        f"    [{', '.join(map(repr, rows))}],\n"
        if sum(len(repr(row)) + 2 for row in rows) < 90
        else "    [\n" + "".join(f"        {row!r},\n" for row in rows) + "    ],\n"
        for rows in arch
    )
    return (
        f"# {origin}\n"
        f"# {counts['parameters'] / 1e6:.3f} M parameters, {counts['macs'] / 1e6:.2f} M MACs at "
        f"{height}x{width}.\n"
        f"_base_ = {_base(base)!r}\n"
        f"parameters = {counts['parameters']}\n"
        f"macs = {counts['macs']}\n"
        f"arch = [\n{stages}]\n"
        "model = dict(backbone=dict(arch=arch))\n"
    )
