"""Cross-Hadamard expansion of tokens, and the bottleneck that replaces others."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmhadaptive.layers import ACHBottleneck, ACHFeedForward
from mmhadaptive.layers.adaptive_cross_hadamard import selected_for_width


def test_tokens_are_computed_as_pixels():
    """Against the definition, written out for one token at a time."""
    torch.manual_seed(0)
    layer = ACHFeedForward(6, num_selected=3, act_cfg=None).double().eval()
    norm = layer.expand.ach.product_norm
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    hidden = layer.expand.pointwise(x)
    scores = layer.expand.ach.scores(hidden.transpose(1, 2).unsqueeze(3))
    expected = torch.empty_like(x)
    for n in range(2):
        chosen = scores[n].argsort(descending=True)[:3].tolist()
        for t in range(5):
            z = [hidden[n, t, s] for s in chosen]
            v = norm.alpha * torch.stack([z[0] * z[1], z[0] * z[2], z[1] * z[2]])
            products = norm.weight * v / (1 + v.abs()) + norm.bias
            expected[n, t] = x[n, t] + layer.project(torch.cat([hidden[n, t], products]))
    torch.testing.assert_close(layer(x), expected)


def test_gradients_of_tokens_reach_the_scores():
    torch.manual_seed(0)
    layer = ACHFeedForward(8, hidden_channels=16, ffn_drop=0.1, dropout_layer=dict(type="DropPath"))
    (layer(torch.randn(4, 7, 8)) ** 3).mean().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    assert layer.expand.ach.scores.conv.weight.grad.abs().max() > 0


def test_wrong_shapes_and_widths_are_refused():
    layer = ACHFeedForward(8, num_selected=4)
    with pytest.raises(ValueError, match=r"\(N, T, C\), got \(2, 8, 4, 4\)"):
        layer(torch.randn(2, 8, 4, 4))
    with pytest.raises(ValueError, match="num_selected or hidden_channels"):
        ACHFeedForward(8)
    with pytest.raises(ValueError, match="num_selected or hidden_channels"):
        ACHBottleneck(8, 8)


@given(st.integers(2, 80), st.integers(1, 3000))
@settings(deadline=None)
def test_the_smallest_selection_that_reaches_a_width(in_channels, width):
    candidates = [
        k for k in range(2, min(in_channels, 64) + 1) if in_channels + k * (k - 1) // 2 >= width
    ]
    if candidates:
        assert selected_for_width(in_channels, width) == candidates[0]
    else:
        with pytest.raises(ValueError, match=f"{in_channels} channels cannot be expanded to"):
            selected_for_width(in_channels, width)


def test_bert_width_of_table_13():
    assert 768 + 51 * 50 // 2 == 2043
    assert selected_for_width(768, 2043) == 51


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("se_ratio", [None, 4])
def test_replacement_bottleneck_keeps_width_and_stride(stride, se_ratio):
    layer = ACHBottleneck(
        16, 24, hidden_channels=64, kernel_size=5, stride=stride, se_ratio=se_ratio
    )
    y = layer(torch.randn(2, 16, 14, 14))
    assert y.shape == (2, 24, 14 // stride, 14 // stride)
    assert layer.expand.num_selected == 11  # 16 + 55 >= 64 > 16 + 45
