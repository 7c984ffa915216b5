"""Networks with replaced blocks: parameters and MACs, before and after."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmhadaptive.io.published import published_figures
from mmhadaptive.models import replace_blocks

from .complexity import count_macs
from .published import difference_percent
from .tables import markdown_table


def replaced_complexity(path: Path) -> dict:
    """Count the network of a config of mmpretrain whose model is ``ReplaceBlocks``.

    Args:
        path: A config of ``configs/replacement``, named by the original and what replaces it, as
            ``mobilenetv3_small_ach_9_cifar100``.

    Returns:
        The pairs ``parameters`` and ``macs``, and what they are counts of; beside those of the
        original stand the figures of the paper's Table 7, where it has the network.
    """
    cfg = Config.fromfile(path)
    size = cfg.model.get("input_size", 224)
    image = (torch.zeros(1, 3, size, size),)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg.model.model).eval()
        before = count_macs(model, image)[""]
        report = replace_blocks(model, cfg.model.replace, image)
        macs = (before, count_macs(model, image)[""])
    entry = dict(
        config=path.stem,
        input_size=size,
        num_classes=cfg.data_preprocessor.num_classes,
        targets=[block.target for block in report.blocks],
        num_selected=[
            module.num_selected
            for block in report.blocks
            for module in model.get_submodule(block.target).modules()
            if hasattr(module, "num_selected")
        ],
        parameters=report.parameters,
        macs=macs,
    )
    name = f"{path.stem.partition('_ach')[0]}_cifar100"
    for figure in published_figures():
        if (figure.name, figure.source, figure.classes) == (name, "Table 7", 100):
            paper = [float(count) / 1e6 for count in (figure.parameters, figure.flops)]
            entry["paper_original"] = dict(zip(("parameters_m", "macs_m"), paper, strict=True))
            ours = (report.parameters[0], before)
            entry["difference_percent"] = list(map(difference_percent, ours, paper))
    return entry


def replaced_table(networks: list[dict]) -> str:
    """The entries of :func:`replaced_complexity` in Markdown."""
    rows = []
    for entry in networks:
        counts = [
            f"{entry[key][0] / 1e6:.3f} → {entry[key][1] / 1e6:.3f}"
            for key in ("parameters", "macs")
        ]
        paper = "-"
        if "paper_original" in entry:
            paper = "{parameters_m:g} M, {macs_m:g} M".format(**entry["paper_original"])
            paper += " ({:+.1f} %, {:+.1f} %)".format(*entry["difference_percent"])
        targets = [t.removeprefix("backbone.").removeprefix("model.") for t in entry["targets"]]
        blocks = targets[0] if len(targets) == 1 else f"{targets[0]} to {targets[-1]}"
        selected = ", ".join(map(str, dict.fromkeys(entry["num_selected"])))
        name = entry["config"].partition("_ach")[0]
        rows.append([name, f"`{blocks}`", selected, *counts, paper])
    headers = ["network", "blocks", "k", "parameters, M", "MACs, M", "paper's original"]
    return markdown_table(headers, rows)


def trained_table(summary: list[dict]) -> str:
    """The entries ``summary`` of ``docs/results/replacement_cifar100.json`` in Markdown.

    An entry is of one variant, ``original`` or ``replaced``, of a config.
    """
    columns = {
        "parameters, M": lambda entry: f"{entry['parameters'] / 1e6:.3f}",
        "top-1, %": lambda entry: f"{entry['top1_mean']:.2f} ± {entry['top1_spread']:.2f}",
        "top-5, %": lambda entry: f"{entry['top5_mean']:.2f}",
        "last training loss": lambda entry: f"{entry['last_loss_mean']:.3f}",
    }
    pairs = {}
    for entry in summary:
        pairs.setdefault(entry["config"], {})[entry["variant"]] = entry
    rows = [
        [
            f"`{config}`",
            *(f"{of(pair['original'])} → {of(pair['replaced'])}" for of in columns.values()),
        ]
        for config, pair in pairs.items()
    ]
    return markdown_table(["config", *columns], rows)
