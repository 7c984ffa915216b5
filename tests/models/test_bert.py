"""BERT with the feed-forwards of Table 13."""

import pytest
import torch

from mmhadaptive.layers import AdaptiveCrossHadamard, adaptive_layers

pytest.importorskip("transformers")
from mmhadaptive.models.bert import FEED_FORWARDS, BERTClassifier, build_bert

TINY = dict(num_layers=2, num_selected=4, hidden_size=16, num_attention_heads=2, vocab_size=40)
WIDTHS = {"ffn": 2048, "ffn_fixed": 768, "ach": 2043}


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_variants_are_those_of_the_paper():
    assert set(FEED_FORWARDS) == set(WIDTHS)


@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
def test_widths_and_gradients(feed_forward):
    torch.manual_seed(0)
    model = build_bert(feed_forward, **TINY, intermediate_size=24).train()
    widths = {layer.output.dense.in_features for layer in model.bert.encoder.layer}
    assert widths == {dict(ffn=24, ffn_fixed=16, ach=16 + 6)[feed_forward]}
    ids = torch.randint(40, (3, 9))
    model(input_ids=ids, labels=torch.tensor([0, 1, 0])).loss.backward()
    layers = [m for m in model.modules() if isinstance(m, AdaptiveCrossHadamard)]
    assert len(layers) == len(list(adaptive_layers(model))) == (2 if feed_forward == "ach" else 0)
    for layer in adaptive_layers(model):
        assert layer.scores.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("feed_forward", "millions"), [("ffn", (57.51, 90.60)), ("ffn_fixed", (45.71, 66.99))]
)
def test_parameters_of_the_plain_feed_forwards(feed_forward, millions):
    """Table 13 prints no counts; these follow by hand from BERT-base and the widths."""
    with torch.device("meta"):
        counts = [parameters(build_bert(feed_forward, num_layers)) for num_layers in (6, 12)]
    assert [round(count / 1e6, 2) for count in counts] == list(millions)


def test_parameters_of_the_cross_hadamard_feed_forward():
    # The first matrix is as wide as the tokens, and normalised. The 1275 products add rows to the
    # second one, a weight and a bias each, and one alpha; the kernel of the scores has 5.
    models = {name: build_bert(name, 1, vocab_size=40) for name in FEED_FORWARDS}
    for name, model in models.items():
        assert model.bert.encoder.layer[0].output.dense.in_features == WIDTHS[name]
    counts = {name: parameters(model) for name, model in models.items()}
    assert counts["ach"] - counts["ffn_fixed"] == 2 * 768 + 1275 * 768 + (2 * 1275 + 1) + 5
    assert counts["ffn"] - counts["ffn_fixed"] == (2048 - 768) * (2 * 768 + 1)


def test_new_layers_are_initialised_as_the_others():
    model = build_bert("ach", num_layers=1, vocab_size=40)
    pointwise = model.bert.encoder.layer[0].intermediate.pointwise
    assert pointwise.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not pointwise.bias.any()


def test_unknown_feed_forward():
    with pytest.raises(ValueError, match=r"one of .*'ffn', 'ffn_fixed', 'ach'"):
        build_bert("dense")


def test_the_classifier_of_the_runner():
    torch.manual_seed(0)
    model = BERTClassifier(feed_forward="ach", **TINY, num_labels=3).eval()
    ids = torch.randint(40, (4, 9))
    batch = dict(input_ids=ids, token_type_ids=ids * 0, attention_mask=ids * 0 + 1)
    labels = torch.tensor([0, 2, 1, 2])
    logits = model(**batch)
    assert logits.shape == (4, 3)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(model(**batch, labels=labels, mode="loss"), dict(loss=expected))
    found = model(**batch, labels=labels, mode="predict")
    torch.testing.assert_close(torch.stack([f["pred_score"] for f in found]), logits.softmax(1))
    assert [f["gt_label"].tolist() for f in found] == [[0], [2], [1], [2]]
    with pytest.raises(ValueError, match="mode"):
        model(**batch, mode="other")
