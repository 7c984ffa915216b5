"""Networks with replaced blocks: parameters, MACs and FLOPs, before and after."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmhadaptive.io.published import published_figures
from mmhadaptive.models import replace_blocks

from .complexity import count_operations, flops_of, macs_of
from .published import difference_percent
from .tables import markdown_table


def replaced_complexity(path: Path) -> dict:
    """Count the network of a config of mmpretrain whose model is ``ReplaceBlocks``.

    Args:
        path: A config of ``configs/replacement``, named by the original and what replaces it, as
            ``mobilenetv3_small_ach_9_cifar100``.

    Returns:
        The pairs ``parameters``, ``macs`` and ``flops``, and what they are counts of. ``paper`` has
        those of them that the paper prints for this config, in millions, and
        ``difference_percent`` by how much ours differ.
    """
    cfg = Config.fromfile(path)
    size = cfg.model.get("input_size", 224)
    image = (torch.zeros(1, 3, size, size),)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg.model.model).eval()
        operations = [count_operations(model, image)[""]]
        report = replace_blocks(model, cfg.model.replace, image)
        operations.append(count_operations(model, image)[""])
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
        macs=tuple(map(macs_of, operations)),
        flops=tuple(map(flops_of, operations)),
        paper={},
        difference_percent={},
    )
    figures = {
        figure.original: figure
        for figure in published_figures()
        if figure.name == path.stem and figure.parameters
    }
    for key in ("parameters", "flops") if figures else ():
        printed = [getattr(figures[original], key).scaleb(-6) for original in (True, False)]
        entry["paper"][key] = [f"{millions:f}" for millions in printed]
        entry["difference_percent"][key] = [
            difference_percent(ours, float(theirs))
            for ours, theirs in zip(entry[key], printed, strict=True)
        ]
    return entry


def replaced_table(networks: list[dict]) -> str:
    """The entries of :func:`replaced_complexity` in Markdown."""
    rows = []
    for entry in networks:
        counts = {
            key: f"{entry[key][0] / 1e6:.3f} → {entry[key][1] / 1e6:.3f}"
            for key in ("parameters", "macs", "flops")
        }
        paper = {
            key: "{} → {}".format(*printed)
            + " ({:+.1f} %, {:+.1f} %)".format(*entry["difference_percent"][key])
            for key, printed in entry["paper"].items()
        }
        targets = [t.removeprefix("backbone.").removeprefix("model.") for t in entry["targets"]]
        blocks = targets[0] if len(targets) == 1 else f"{targets[0]} to {targets[-1]}"
        selected = ", ".join(map(str, dict.fromkeys(entry["num_selected"])))
        name = entry["config"].partition("_ach")[0]
        cells = [counts["parameters"], paper.get("parameters", "-"), counts["macs"]]
        cells += [counts["flops"], paper.get("flops", "-")]
        rows.append([name, f"`{blocks}`", selected, *cells])
    headers = ["network", "blocks", "k", "parameters, M", "paper", "MACs, M", "FLOPs, M", "paper"]
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
