"""Cross-Hadamard expansion of tokens and feed-forward network."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmhadaptive.layers import ACHFeedForward, ACHTokenExpansion, selected_for_width


def literal(layer, x):
    """The expansion, token by token and pair by pair."""
    x = layer.pointwise(x)
    scores = layer.ach.scores.conv(x.mean(1).unsqueeze(1)).squeeze(1)
    index = scores.argsort(1, descending=True)[:, : layer.ach.num_selected]
    norm = layer.ach.product_norm
    outputs = []
    for tokens, chosen in zip(x, index, strict=True):
        products = [
            tokens[:, chosen[i]] * tokens[:, chosen[j]]
            for i in range(len(chosen))
            for j in range(i + 1, len(chosen))
        ]
        t = norm.alpha * torch.stack(products, dim=1)
        products = norm.weight * t / (1 + t.abs()) + norm.bias
        outputs.append(torch.cat([tokens, products], dim=1))
    return nn.functional.gelu(torch.stack(outputs))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 7), st.integers(3, 9), st.integers(2, 3))
def test_expansion_is_the_literal_one(batch, tokens, channels, num_selected):
    torch.manual_seed(0)
    layer = ACHTokenExpansion(channels, num_selected).double().eval()
    nn.init.uniform_(layer.ach.product_norm.weight)
    nn.init.uniform_(layer.ach.product_norm.bias)
    x = torch.randn(batch, tokens, channels, dtype=torch.float64)
    torch.testing.assert_close(layer(x), literal(layer, x))


def test_tokens_are_read_in_place():
    layer = ACHTokenExpansion(8, 4, act_cfg=None).eval()
    seen = []
    layer.ach.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    projected = []
    layer.pointwise.register_forward_hook(lambda module, args, output: projected.append(output))
    y = layer(torch.randn(2, 5, 8))
    (x, output), (linear,) = seen[0], projected
    assert x.untyped_storage().data_ptr() == linear.untyped_storage().data_ptr()
    assert y.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
    assert y.is_contiguous()


def test_feed_forward_is_expansion_projection_and_identity():
    torch.manual_seed(0)
    layer = ACHFeedForward(8, 4).eval()
    x, identity = torch.randn(2, 2, 5, 8)
    branch = layer.project(layer.expand(x))
    torch.testing.assert_close(layer(x), x + branch)
    torch.testing.assert_close(layer(x, identity=identity), identity + branch)
    layer.add_identity = False
    torch.testing.assert_close(layer(x), branch)


def test_gradients_reach_the_scores():
    layer = ACHFeedForward(8, 4)
    layer(torch.randn(3, 5, 8)).square().sum().backward()
    assert layer.expand.ach.scores.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("channels", "width", "k"), [(768, 2043, 51), (96, 576, 32), (16, 16, 2)])
def test_width_of_the_expansion(channels, width, k):
    assert selected_for_width(channels, width) == k
    assert ACHTokenExpansion(channels, hidden_channels=width).out_channels >= width


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"\(N, T, C\), got \(2, 8\)"):
        ACHTokenExpansion(8, 4)(torch.zeros(2, 8))
    with pytest.raises(ValueError, match="num_selected or hidden_channels"):
        ACHFeedForward(8)
    with pytest.raises(ValueError, match="8 channels cannot be expanded to 99"):
        ACHFeedForward(8, hidden_channels=99)
