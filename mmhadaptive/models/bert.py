"""BERT classifiers with the feed-forwards of Table 13, by Hugging Face transformers.

Table 13 gives the tokens 764 channels, its text those of BERT-base: 768. The expansion of the ACH
row has the printed 2043 = 768 + 51 * 50 / 2 channels for k = 51 chosen ones of 768; of 764 channels
it would have 2039. So 764 is taken for a misprint of 768, also as the width of the feed-forward
with a fixed number of channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmhadaptive.ops.arguments import num_products
from mmhadaptive.optional import TRANSFORMERS, needs

from .replacement import replace_blocks

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification

FEED_FORWARDS = ("ffn", "ffn_fixed", "ach")


def build_bert(
    feed_forward: str,
    num_layers: int = 12,
    num_labels: int = 2,
    num_selected: int = 51,
    hidden_size: int = 768,
    intermediate_size: int = 2048,
    **config,
) -> BertForSequenceClassification:
    """A BERT sequence classifier, built from a config and initialised at random.

    =============  ===================  ==========================
    here           Table 13             width
    =============  ===================  ==========================
    ``ffn``        FFN                  ``intermediate_size``
    ``ffn_fixed``  FFN (fixed channel)  ``hidden_size``
    ``ach``        ACH Module           ``hidden_size + k(k-1)/2``
    =============  ===================  ==========================

    The expansion of every layer of ``ach`` is an :class:`~mmhadaptive.layers.ACHTokenExpansion`;
    its scores pool over all tokens of a sample, so pad to a fixed length.

    Args:
        feed_forward: One of the above.
        num_layers: Number of encoder layers; 6 and 12 in Table 13.
        num_labels: Number of classes.
        num_selected: Number ``k`` of channels.
        hidden_size: Number of channels of a token.
        intermediate_size: Width of the feed-forward ``ffn``.
        **config: Further entries of transformers' ``BertConfig``, such as ``vocab_size``.

    Raises:
        ValueError: ``feed_forward`` is none of these.
        ImportError: transformers is not installed.
    """
    if feed_forward not in FEED_FORWARDS:
        raise ValueError(f"feed_forward must be one of {FEED_FORWARDS}, got {feed_forward!r}")
    with needs(*TRANSFORMERS, user=__name__):
        from transformers import BertConfig, BertForSequenceClassification

    widths = (intermediate_size, hidden_size, hidden_size + num_products(num_selected))
    model = BertForSequenceClassification(
        BertConfig(
            hidden_size=hidden_size,
            intermediate_size=dict(zip(FEED_FORWARDS, widths, strict=True))[feed_forward],
            num_hidden_layers=num_layers,
            num_labels=num_labels,
            **config,
        )
    )
    if feed_forward == "ach":
        targets = [f"bert.encoder.layer.{i}.intermediate" for i in range(num_layers)]
        expansion = dict(type="ACHTokenExpansion", num_selected=num_selected)
        replace = [dict(target=targets, block=expansion)]
        replace_blocks(model, replace, (torch.ones(1, 8, dtype=torch.long),))
        for layer in model.bert.encoder.layer:
            layer.intermediate.pointwise.apply(model._init_weights)
    return model


@MODELS.register_module()
class BERTClassifier(BaseModel):
    """A classifier of :func:`build_bert` for mmengine's Runner, with cross-entropy.

    Args:
        data_preprocessor: Config of mmengine's ``BaseDataPreprocessor`` or another one.
        **network: Arguments of :func:`build_bert`.
    """

    def __init__(self, data_preprocessor: dict | None = None, **network) -> None:
        super().__init__(data_preprocessor)
        self.network = build_bert(**network)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        mode: str = "tensor",
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Tensor]]:
        """Classify texts.

        Args:
            input_ids: Numbers of the word pieces ``(N, T)``.
            token_type_ids: 0 for a first sentence, 1 for a second ``(N, T)``.
            attention_mask: 0 for padding, else 1 ``(N, T)``.
            labels: Numbers of the classes ``(N,)``; only ``tensor`` does without.
            mode: ``tensor``, ``loss`` or ``predict``.

        Returns:
            The logits ``(N, classes)``, the ``loss``, or a sample's ``pred_score`` and
            ``gt_label``, which mmpretrain's metrics take.

        Raises:
            ValueError: The mode is none of these.
        """
        logits = self.network(
            input_ids=input_ids, token_type_ids=token_type_ids, attention_mask=attention_mask
        ).logits
        if mode == "tensor":
            return logits
        if mode == "loss":
            return dict(loss=cross_entropy(logits, labels))
        if mode == "predict":
            pairs = zip(logits.softmax(1), labels[:, None], strict=True)
            return [dict(pred_score=score, gt_label=label) for score, label in pairs]
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")
