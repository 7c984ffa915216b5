"""BERT classifiers with a cross-Hadamard feed-forward (Table 13), by Hugging Face transformers.

Table 13 gives the widths of the feed-forward as 764 -> 2043. With BERT's hidden size of 768 and
k = 51 the expansion has 768 + 51 * 50 / 2 = 768 + 1275 = 2043 channels; with 764 it would have
2039. So 764 is taken for a slip of the pen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from mmengine.utils import is_installed

from mmhadaptive.ops.arguments import num_products

from .replacement import replace_blocks

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification

FEED_FORWARDS = ("ffn", "narrow", "fixed", "ach")


def build_bert(
    feed_forward: str,
    num_layers: int = 12,
    num_labels: int = 2,
    num_selected: int = 51,
    hidden_size: int = 768,
    **config,
) -> BertForSequenceClassification:
    """A BERT sequence classifier, built from a config and initialised at random.

    ==========  =================================================================
    ``ffn``     the feed-forward of BERT, four times as wide as the tokens
    ``narrow``  the same, as wide as the cross-Hadamard one: ``hidden_size + k(k-1)/2``
    ``fixed``   cross-Hadamard products of the first ``k`` channels, no choice
    ``ach``     cross-Hadamard products of ``k`` chosen channels
    ==========  =================================================================

    The expansion of every layer is an :class:`~mmhadaptive.layers.ACHTokenExpansion`; its scores
    pool over all tokens of a sample, so pad to a fixed length.

    Args:
        feed_forward: One of the above.
        num_layers: Number of encoder layers; 6 and 12 in Table 13.
        num_labels: Number of classes.
        num_selected: Number ``k`` of channels.
        hidden_size: Number of channels of a token.
        **config: Further entries of transformers' ``BertConfig``, such as ``vocab_size``.

    Raises:
        ValueError: ``feed_forward`` is none of these.
        ImportError: transformers is not installed.
    """
    if feed_forward not in FEED_FORWARDS:
        raise ValueError(f"feed_forward must be one of {FEED_FORWARDS}, got {feed_forward!r}")
    if not is_installed("transformers"):
        raise ImportError("BERT needs Hugging Face transformers: pip install 'transformers<5'")
    from transformers import BertConfig, BertForSequenceClassification

    width = 4 * hidden_size if feed_forward == "ffn" else hidden_size + num_products(num_selected)
    model = BertForSequenceClassification(
        BertConfig(
            hidden_size=hidden_size,
            intermediate_size=width,
            num_hidden_layers=num_layers,
            num_labels=num_labels,
            **config,
        )
    )
    if feed_forward in ("fixed", "ach"):
        selection = "eca" if feed_forward == "ach" else "fixed"
        expansion = dict(
            type="ACHTokenExpansion", num_selected=num_selected, ach_cfg=dict(selection=selection)
        )
        targets = [f"bert.encoder.layer.{i}.intermediate" for i in range(num_layers)]
        replace = [dict(target=targets, block=expansion)]
        replace_blocks(model, replace, (torch.zeros(1, 8, dtype=torch.long),))
        for layer in model.bert.encoder.layer:
            layer.intermediate.pointwise.apply(model._init_weights)
    return model
