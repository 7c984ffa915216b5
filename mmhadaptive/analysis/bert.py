"""BERT classifiers with the feed-forwards of Table 13: channels, parameters and MACs."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.analysis import parameter_count
from mmengine.config import Config

from mmhadaptive.io.published import published_figures
from mmhadaptive.models.bert import build_bert

from .complexity import count_macs
from .tables import markdown_table


def bert_complexity(path: Path, length: int) -> dict:
    """Count a BERT classifier for one sentence.

    Args:
        path: A config of ``configs/glue``.
        length: Word pieces of the sentence.

    Returns:
        The ``channels`` of a token and in the middle of the feed-forward, those that the paper
        printed, ``parameters`` and ``macs``, and what they are counts of.
    """
    network = Config.fromfile(path).model
    del network["type"]
    model = build_bert(**network, return_dict=False).eval()
    projection = model.bert.encoder.layer[0].output.dense
    ids = torch.ones(1, length, dtype=torch.long)
    (paper,) = (figure for figure in published_figures() if figure.name == path.stem)
    return dict(
        config=path.stem,
        num_classes=network.num_labels,
        length=length,
        channels=[projection.out_features, projection.in_features],
        paper_channels=list(paper.channels.values()),
        parameters=parameter_count(model)[""],
        macs=count_macs(model, (ids,))[""],
    )


def bert_table(entries: list[dict]) -> str:
    """The entries of :func:`bert_complexity` in Markdown."""
    rows = [
        [
            f"`{entry['config']}`",
            *(" → ".join(map(str, entry[key])) for key in ("channels", "paper_channels")),
            *(f"{entry['parameters'] / 1e6:.2f}", f"{entry['macs'] / 1e9:.2f}"),
        ]
        for entry in entries
    ]
    headers = ["config", "channels", "in Table 13", "parameters, M", "MACs, G"]
    return markdown_table(headers, rows)
