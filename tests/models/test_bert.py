"""BERT with the feed-forwards of Table 13."""

import pytest
import torch

from mmhadaptive.layers import AdaptiveCrossHadamard, adaptive_layers

pytest.importorskip("transformers")
from mmhadaptive.models.bert import FEED_FORWARDS, build_bert

TINY = dict(num_layers=2, num_selected=4, hidden_size=16, num_attention_heads=2, vocab_size=40)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
def test_widths_and_gradients(feed_forward):
    torch.manual_seed(0)
    model = build_bert(feed_forward, **TINY).train()
    widths = {layer.output.dense.in_features for layer in model.bert.encoder.layer}
    assert widths == {64 if feed_forward == "ffn" else 16 + 6}
    ids = torch.randint(40, (3, 9))
    model(input_ids=ids, labels=torch.tensor([0, 1, 0])).loss.backward()
    layers = [m for m in model.modules() if isinstance(m, AdaptiveCrossHadamard)]
    assert len(layers) == (2 if feed_forward in ("fixed", "ach") else 0)
    assert len(list(adaptive_layers(model))) == (2 if feed_forward == "ach" else 0)
    for layer in adaptive_layers(model):
        assert layer.scores.weight.grad.abs().sum() > 0


def test_parameters_of_table_13():
    # A feed-forward has two matrices with biases; the cross-Hadamard one has the first matrix as
    # wide as the tokens, the weight and bias of its normalisation, alpha, weight and bias of the
    # products, and the kernel of the scores.
    sizes = dict(num_layers=1, vocab_size=40)
    with torch.device("meta"):
        counts = {name: parameters(build_bert(name, **sizes)) for name in ("ffn", "narrow")}
    counts.update({name: parameters(build_bert(name, **sizes)) for name in ("fixed", "ach")})
    assert counts["ffn"] - counts["narrow"] == (3072 - 2043) * (2 * 768 + 1)
    assert counts["narrow"] - counts["fixed"] == 1275 * 769 - 2 * 768 - (2 * 1275 + 1)
    assert counts["ach"] - counts["fixed"] == 5


def test_new_layers_are_initialised_as_the_others():
    model = build_bert("ach", num_layers=1, vocab_size=40)
    pointwise = model.bert.encoder.layer[0].intermediate.pointwise
    assert pointwise.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not pointwise.bias.any()


def test_unknown_feed_forward():
    with pytest.raises(ValueError, match=r"one of .*'ffn', 'narrow', 'fixed', 'ach'"):
        build_bert("dense")
