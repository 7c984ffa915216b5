"""BERT classifiers with the feed-forwards of Table 13: widths, parameters and MACs."""

from __future__ import annotations

import torch
from mmengine.analysis import parameter_count

from mmhadaptive.models.bert import build_bert

from .complexity import count_macs
from .tables import markdown_table


def bert_complexity(num_layers: int, feed_forward: str, length: int) -> dict:
    """Count a BERT classifier for one sentence; see :func:`~mmhadaptive.models.bert.build_bert`.

    Args:
        num_layers: Number of encoder layers.
        feed_forward: One of ``mmhadaptive.models.bert.FEED_FORWARDS``.
        length: Tokens of the sentence.
    """
    model = build_bert(feed_forward, num_layers, return_dict=False).eval()
    ids = torch.zeros(1, length, dtype=torch.long)
    return dict(
        layers=num_layers,
        feed_forward=feed_forward,
        width=model.bert.encoder.layer[0].output.dense.in_features,
        parameters=parameter_count(model)[""],
        macs=count_macs(model, (ids,))[""],
        length=length,
    )


def bert_table(entries: list[dict]) -> str:
    """The entries of :func:`bert_complexity` in Markdown."""
    rows = [
        [
            *(entry["layers"], f"`{entry['feed_forward']}`", entry["width"]),
            *(f"{entry['parameters'] / 1e6:.2f}", f"{entry['macs'] / 1e9:.2f}"),
        ]
        for entry in entries
    ]
    headers = ["layers", "feed-forward", "width", "parameters, M", "MACs, G"]
    return markdown_table(headers, rows)
