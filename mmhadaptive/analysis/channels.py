"""The channels of Hadaptive-Net by stride."""

from __future__ import annotations

from mmhadaptive.models.backbones.hadaptive_net import ARCHITECTURES

from .tables import markdown_table


def channels_table() -> str:
    """The channels of every architecture in Markdown; a dash where it has no such stride."""
    widths = {arch: [stage[-1][1] for stage in stages] for arch, stages in ARCHITECTURES.items()}
    most = max(map(len, widths.values()))
    headers = ["arch", *(f"stride {2 ** (i + 1)}" for i in range(most))]
    rows = [[arch, *row, *["-"] * (most - len(row))] for arch, row in widths.items()]
    return markdown_table(headers, rows)
