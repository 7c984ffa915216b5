"""The entropy of the choice, in bits."""

import math

import pytest
import torch

from mmhadaptive.layers import SelectionEntropy, gumbel_top_k, selection_entropy


def literal(scores):
    """Over pictures and channels one by one, in float64."""
    rows = [[math.exp(score) for score in row] for row in scores.tolist()]
    rows = [[value / sum(row) for value in row] for row in rows]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]

    def entropy(p):
        return -sum(value * math.log2(value) for value in p)

    own = sum(map(entropy, rows)) / len(rows)
    return own, entropy(mean) - own


def test_it_is_the_formula():
    scores = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 2
    found = [value.item() for value in selection_entropy(scores)]
    assert found == pytest.approx(literal(scores), rel=1e-5)
    assert found[1] > 0.1
    bfloat16 = scores.bfloat16()
    found = [value.item() for value in selection_entropy(bfloat16)]
    assert found == pytest.approx(literal(bfloat16.double()), rel=1e-5)


def test_batches_are_one_set_of_pictures():
    scores = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 2
    entropy = SelectionEntropy()
    for batch in scores.split(2):
        entropy.add(batch)
    found = [value.item() for value in entropy.result()]
    assert found == pytest.approx(literal(scores), rel=1e-5)


def test_its_bounds():
    equal = selection_entropy(torch.zeros(3, 8))
    assert [value.item() for value in equal] == pytest.approx([3, 0])
    # Every picture decides for a channel of its own; the others underflow.
    decided = selection_entropy(1000 * torch.eye(4, 8))
    assert [value.item() for value in decided] == pytest.approx([0, 2])


def test_the_first_choice_has_this_distribution():
    """At any temperature, so the entropy of many draws is that of the softmax of the scores."""
    torch.manual_seed(0)
    scores = torch.tensor([[2.0, 0.0, -1.0, 1.0]])
    index, _ = gumbel_top_k(scores.expand(40_000, -1), 2, tau=0.1)
    shares = torch.bincount(index[:, 0], minlength=4) / len(index)
    entropy = -(shares * shares.log2()).sum().item()
    assert selection_entropy(scores)[0].item() == pytest.approx(entropy, abs=0.02)
