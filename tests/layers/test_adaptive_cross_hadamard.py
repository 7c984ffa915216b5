"""The ACH layer against the paper's matrix form, in float64."""

import io
import itertools
import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MMLogger

from mmhadaptive.layers import AdaptiveCrossHadamard, DySoft, adapt_temperature, gumbel_top_k
from mmhadaptive.layers.adaptive_cross_hadamard import _say_that_tau_stays

names = itertools.count()

BOUNDED = {
    "DySoft": lambda v: v / (1 + v.abs()),
    "DySig": lambda v: torch.sigmoid(v) - 0.5,
    "DyAlge": lambda v: v / torch.sqrt(1 + v**2),
}


def matrix_form(layer, x, noise):
    """Section 3 read literally: a mapping matrix of straight-through rows, then all products."""
    k = layer.num_selected
    x = layer.pointwise(x)
    batch, channels, height, width = x.shape
    pooled = torch.nn.functional.pad(x.mean((2, 3)), (2, 2))
    kernel = layer.scores.conv.weight[0, 0]
    scores = torch.stack([(pooled[:, c : c + 5] * kernel).sum(1) for c in range(channels)], dim=1)
    soft = torch.softmax((scores + noise) / layer.temperature.tau, dim=1)
    ranked = soft.argsort(dim=1, descending=True)[:, :k]
    hard = torch.zeros_like(soft).scatter(1, ranked, 1.0)
    straight_through = hard - soft.detach() + soft
    mapping = torch.nn.functional.one_hot(ranked, channels) * straight_through[:, None, :]
    z = (mapping @ x.flatten(2)).view(batch, k, height, width)
    norm = layer.product_norm
    products = []
    for i in range(k):
        for j in range(i + 1, k):
            p = i * (2 * k - i - 1) // 2 + (j - i - 1)
            assert p == len(products)
            bounded = BOUNDED[type(norm).__name__](norm.alpha * z[:, i] * z[:, j])
            products.append(norm.weight[p] * bounded + norm.bias[p])
    return torch.cat([x, torch.stack(products, dim=1)], dim=1)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(2, 9),
    selected=st.integers(2, 9),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    norm=st.sampled_from(sorted(BOUNDED)),
    tau=st.floats(0.05, 4.0),
    seed=st.integers(0, 2**31),
)
def test_training_equals_matrix_form(batch, channels, selected, height, width, norm, tau, seed):
    selected = min(selected, channels)
    torch.manual_seed(seed)
    layer = AdaptiveCrossHadamard(
        channels, selected, tau=tau, norm_cfg=None, product_norm_cfg=dict(type=norm)
    ).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter))
    x = torch.randn(batch, channels, height, width, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]

    torch.manual_seed(seed + 1)
    y = layer(x)
    torch.manual_seed(seed + 1)
    noise = -torch.empty(batch, channels, dtype=torch.float64).exponential_().log()
    expected = matrix_form(layer, x, noise)

    torch.testing.assert_close(y, expected)
    grad = torch.randn_like(y)
    for actual, wanted in zip(
        torch.autograd.grad(y, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
        strict=True,
    ):
        torch.testing.assert_close(actual, wanted)


def expected_loss(scores, values, k):
    """E[product of the chosen values]: Gumbel top-k draws by Plackett-Luce probabilities."""
    weights = scores.exp()
    total = torch.zeros((), dtype=scores.dtype)
    for chosen in itertools.permutations(range(len(values)), k):
        probability, left = 1.0, weights.sum()
        for c in chosen:
            probability = probability * weights[c] / left
            left = left - weights[c]
        total = total + probability * values[list(chosen)].prod()
    return total


def test_straight_through_gradient_has_the_sign_of_the_expected_loss():
    torch.manual_seed(0)
    values = torch.tensor([0.3, 1.0, 1.7, 2.5], dtype=torch.float64)
    scores = torch.tensor([0.2, -0.1, 0.3, 0.0], dtype=torch.float64)
    eps = 1e-5
    numerical = torch.stack(
        [
            (expected_loss(scores + d, values, 2) - expected_loss(scores - d, values, 2))
            / (2 * eps)
            for d in eps * torch.eye(4, dtype=torch.float64)
        ]
    )
    repeated = scores.expand(50_000, -1).clone().requires_grad_()
    index, gate = gumbel_top_k(repeated, 2, tau=1.0)
    loss = (gate * values[index]).prod(dim=1)
    estimate = torch.autograd.grad(loss.mean(), repeated)[0].sum(0)
    assert torch.cosine_similarity(estimate, numerical, dim=0) > 0.9
    assert torch.equal(estimate.sign(), numerical.sign())


def test_gumbel_top_k_draws_by_plackett_luce():
    torch.manual_seed(0)
    scores = torch.tensor([1.0, 0.0, -1.0])
    index, gate = gumbel_top_k(scores.expand(100_000, -1), 2, tau=0.3)
    assert torch.equal(gate, torch.ones_like(gate))
    p = scores.softmax(0)
    for a, b in itertools.permutations(range(3), 2):
        share = ((index[:, 0] == a) & (index[:, 1] == b)).float().mean()
        assert abs(share - p[a] * p[b] / (1 - p[a])) < 0.01


def test_inference_is_plain_top_k_per_sample():
    layer = AdaptiveCrossHadamard(6, 3).eval()
    x = torch.randn(4, 6, 5, 5)
    y = layer(x)
    assert torch.equal(y, layer(x))
    features = layer.pointwise(x)
    index, gate = layer.select(features)
    scores = layer.scores(features)
    assert torch.equal(index, scores.argsort(dim=1, descending=True)[:, :3])
    assert torch.equal(gate, torch.ones_like(gate))
    assert len({tuple(row.tolist()) for row in index}) > 1


def test_products_replace_nothing_of_the_input():
    layer = AdaptiveCrossHadamard(6, 4, pointwise=False)
    x = torch.randn(2, 6, 3, 3)
    y = layer(x)
    assert y.shape == (2, 12, 3, 3)
    assert layer.out_channels == 12
    assert torch.equal(y[:, :6], x)


@pytest.mark.parametrize("selection", ["eca", "static", "fixed"])
@pytest.mark.parametrize("pointwise", [True, False])
@pytest.mark.parametrize("norm", [None, "BN", "DySoft"])
def test_ablations_train(selection, pointwise, norm):
    torch.manual_seed(0)
    layer = AdaptiveCrossHadamard(
        8,
        4,
        selection=selection,
        pointwise=pointwise,
        product_norm_cfg=norm and dict(type=norm),
    )
    x = torch.randn(3, 8, 4, 4, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad.isfinite().all()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_fixed_selection_takes_the_first_channels():
    layer = AdaptiveCrossHadamard(4, 2, pointwise=False, selection="fixed", product_norm_cfg=None)
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(layer(x)[:, 4], x[:, 0] * x[:, 1])


def test_batch_norm_of_products_leaves_the_input_alone():
    layer = AdaptiveCrossHadamard(6, 3, pointwise=False, product_norm_cfg=dict(type="BN"))
    x = torch.randn(16, 6, 5, 5)
    y = layer(x)
    assert torch.equal(y[:, :6], x)
    torch.testing.assert_close(y[:, 6:].mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("norm", [DySoft, torch.nn.BatchNorm2d])
def test_product_norm_as_a_class(norm):
    layer = AdaptiveCrossHadamard(6, 3, product_norm_cfg=dict(type=norm))
    assert type(layer.product_norm) is norm
    assert layer.product_norm.num_features == 3
    assert layer(torch.randn(2, 6, 4, 4)).shape == (2, 9, 4, 4)
    frozen = dict(type=norm, requires_grad=False)
    layer = AdaptiveCrossHadamard(6, 3, product_norm_cfg=frozen)
    assert not any(parameter.requires_grad for parameter in layer.product_norm.parameters())


@pytest.mark.parametrize("selected", [1, 0, 9])
def test_num_selected_out_of_range(selected):
    with pytest.raises(ValueError, match=f"num_selected .*in_channels=8, got {selected}"):
        AdaptiveCrossHadamard(8, selected)


def test_other_wrong_arguments():
    with pytest.raises(ValueError, match="selection must be one of"):
        AdaptiveCrossHadamard(8, 4, selection="learned")
    with pytest.raises(ValueError, match="tau must be in"):
        AdaptiveCrossHadamard(8, 4, tau=5.0)
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        AdaptiveCrossHadamard(8, 4, eca_kernel_size=4)


def test_half_precision_features_choose_in_float32():
    layer = AdaptiveCrossHadamard(8, 4)
    x = torch.randn(2, 8, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert layer.scores.weight.grad.abs().sum() > 0


@pytest.fixture
def log():
    """What mmengine's current logger is told from here on."""
    lines = io.StringIO()
    logger = MMLogger.get_instance(f"log {next(names)}")
    logger.addHandler(logging.StreamHandler(lines))
    _say_that_tau_stays.cache_clear()
    return lines


def test_a_temperature_that_nothing_adapts_is_reported_once(log):
    layers = [AdaptiveCrossHadamard(8, 4, selection=name) for name in ("eca", "static")]
    x = torch.randn(2, 8, 3, 3)
    for layer in layers * 2:
        layer(x)
    assert log.getvalue().count("AdaptTemperatureHook") == 1


def test_a_temperature_that_need_not_move_is_not_reported(log):
    x = torch.randn(2, 8, 3, 3)
    adapted = AdaptiveCrossHadamard(8, 4)
    adapt_temperature(adapted, torch.optim.SGD(adapted.parameters(), lr=0.1))
    adapted(x)
    AdaptiveCrossHadamard(8, 4, selection="fixed")(x)
    AdaptiveCrossHadamard(8, 4, tau_rate=0)(x)
    AdaptiveCrossHadamard(8, 4).eval()(x)
    with torch.no_grad():
        AdaptiveCrossHadamard(8, 4)(x)
    assert "AdaptTemperatureHook" not in log.getvalue()


def test_the_report_breaks_no_graph(log):
    x = torch.randn(2, 8, 3, 3)
    layer = AdaptiveCrossHadamard(8, 4)
    torch.compile(layer, fullgraph=True, backend="eager")(x)
    torch.export.export(layer, (x,))
    torch.jit.trace(layer, x, check_trace=False)
