"""Cross-Hadamard expansion of tokens and feed-forward network."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmhadaptive.layers import ACHFeedForward, ACHTokenExpansion, selected_for_width


def literal(layer, x):
    """The expansion, token by token and pair by pair."""
    x = layer.pointwise(x)
    bn = layer.norm
    x = (x - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
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
    for tensor in layer.norm.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5)
    x = torch.randn(batch, tokens, channels, dtype=torch.float64)
    torch.testing.assert_close(layer(x), literal(layer, x))


def test_tokens_are_read_in_place():
    layer = ACHTokenExpansion(8, 4, act_cfg=None).eval()
    seen = []
    layer.ach.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    normalised = []
    layer.norm.register_forward_hook(lambda module, args, output: normalised.append(output))
    y = layer(torch.randn(2, 5, 8))
    (x, output), (tokens,) = seen[0], normalised
    assert x.untyped_storage().data_ptr() == tokens.untyped_storage().data_ptr()
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


def test_batch_normalisation_is_over_the_tokens_of_all_samples():
    torch.manual_seed(0)
    layer = ACHTokenExpansion(8, 4)
    assert isinstance(layer.norm, nn.BatchNorm1d)
    x = torch.randn(3, 5, 8)
    seen = []
    layer.ach.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    layer(x)
    tokens = seen[0].squeeze(3).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(tokens.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.var(0, False), torch.ones(8), atol=1e-3, rtol=0)
    mean = layer.pointwise(x).flatten(0, 1).mean(0)
    torch.testing.assert_close(layer.norm.running_mean, layer.norm.momentum * mean)
    assert not list(ACHTokenExpansion(8, 4, norm_cfg=None).norm.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_runs_in_its_type(dtype):
    torch.manual_seed(0)
    layer = ACHFeedForward(8, 4)
    x = torch.randn(3, 5, 8)
    expected = copy.deepcopy(layer).eval()(x)
    with torch.autocast("cpu", dtype):
        assert layer.expand(x).dtype == dtype
        layer(x).square().sum().backward()
        y = copy.deepcopy(layer).eval()(x)
    assert all(p.grad.isfinite().all() for p in layer.parameters())
    assert layer.expand.norm.running_mean.dtype == torch.float32
    assert y.shape == expected.shape


@pytest.mark.parametrize(
    ("channels", "width", "at_least", "within"),
    [(768, 2048, 52, 51), (768, 2043, 51, 51), (96, 576, 32, 31), (192, 384, 21, 20)],
)
def test_width_of_the_expansion(channels, width, at_least, within):
    assert selected_for_width(channels, width) == at_least
    assert selected_for_width(channels, width, within=True) == within
    layer = ACHTokenExpansion(channels, hidden_channels=width)
    assert layer.ach.num_selected == within
    assert layer.out_channels <= width


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"\(N, T, C\), got \(2, 8\)"):
        ACHTokenExpansion(8, 4)(torch.zeros(2, 8))
    with pytest.raises(ValueError, match="num_selected or hidden_channels"):
        ACHFeedForward(8)
    with pytest.raises(ValueError, match="8 channels cannot be expanded to 99"):
        ACHFeedForward(8, hidden_channels=99)
    # Two channels have one product.
    with pytest.raises(ValueError, match=r"8 channels cannot be expanded to 8: .* become 9, 11"):
        ACHFeedForward(8, hidden_channels=8)
