"""The neck: its steps written out, its size, its exports, its arguments."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import nn

from mmhadaptive.analysis.complexity import complexity
from mmhadaptive.layers import AdaptiveCrossHadamard, adapt_temperature, adaptive_layers
from mmhadaptive.models.necks import ACHPAFPN
from mmhadaptive.models.necks.ach_pafpn import NUM_SELECTED

SMALL = dict(in_channels=(6, 8, 10), out_channels=8, num_selected=4)


def maps(channels, sizes, batch=2, **options):
    torch.manual_seed(1)
    return [
        torch.randn(batch, c, *size, **options) for c, size in zip(channels, sizes, strict=True)
    ]


def randomized(neck):
    """With normalisations that do something."""
    for name, tensor in itertools.chain(neck.named_parameters(), neck.named_buffers()):
        if tensor.is_floating_point() and name.rpartition(".")[2] != "tau":
            # Running variances among them.
            nn.init.uniform_(tensor, 0.5, 1.5) if tensor.dim() == 1 else nn.init.normal_(tensor)
    return neck.double().eval()


def normalised(x, conv, bn):
    x = F.conv2d(x, conv.weight, None, conv.stride, conv.padding, 1, conv.groups)
    mean, var, weight, bias = (
        t[:, None, None] for t in (bn.running_mean, bn.running_var, bn.weight, bn.bias)
    )
    return (x - mean) / torch.sqrt(var + bn.eps) * weight + bias


def hard_swish(x):
    return x * (x + 3).clamp(0, 6) / 6


def products(layer, x):
    """The chosen channels by rank, and the bounded products of all pairs."""
    if not isinstance(layer.pointwise, nn.Identity):
        x = normalised(x, layer.pointwise.conv, layer.pointwise.bn)
    pooled = F.pad(x.mean((2, 3)), (2, 2))
    kernel = layer.scores.conv.weight[0, 0]
    norm, wide = layer.product_norm, []
    for image, means in zip(x, pooled, strict=True):
        scores = [(means[c : c + 5] * kernel).sum().item() for c in range(len(image))]
        ranked = sorted(range(len(image)), key=lambda c: -scores[c])[: layer.num_selected]
        pairs = itertools.combinations(ranked, 2)
        values = [norm.alpha * image[a] * image[b] for a, b in pairs]
        bounded = [
            w * v / (1 + v.abs()) + b
            for v, w, b in zip(values, norm.weight, norm.bias, strict=True)
        ]
        wide.append(torch.cat([image, torch.stack(bounded)]))
    return torch.stack(wide)


def bottleneck(block, x):
    x = products(block.expand, x)
    x = hard_swish(normalised(x, block.depthwise.conv, block.depthwise.bn))
    return normalised(x, block.project.conv, block.project.bn)


def fused(fusion, other, own):
    own = own + bottleneck(fusion.fuse, torch.cat([other, own], dim=1))
    for block in fusion.blocks:
        own = own + bottleneck(block, own)
    return own


def doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def halved(layer, x):
    depthwise, pointwise = layer
    x = hard_swish(normalised(x, depthwise.conv, depthwise.bn))
    return normalised(x, pointwise.conv, pointwise.bn)


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_the_steps_written_out(num_blocks):
    neck = randomized(ACHPAFPN(**SMALL, num_blocks=num_blocks, num_extra_levels=1))
    inputs = maps(SMALL["in_channels"], [(8, 12), (4, 6), (2, 3)], dtype=torch.float64)
    with torch.no_grad():
        outputs = neck(inputs)
        fine, middle, coarse = (
            normalised(x, lateral.conv, lateral.bn)
            for x, lateral in zip(inputs, neck.laterals, strict=True)
        )
        middle = fused(neck.top_down[0], doubled(coarse), middle)
        fine = fused(neck.top_down[1], doubled(middle), fine)
        middle = fused(neck.bottom_up[0], halved(neck.downsamples[0], fine), middle)
        coarse = fused(neck.bottom_up[1], halved(neck.downsamples[1], middle), coarse)
        extra = halved(neck.extra_levels[0], coarse)
    for actual, expected in zip(outputs, (fine, middle, coarse, extra), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "sizes",
    [
        [(16, 24), (8, 12), (4, 6)],
        [(9, 13), (4, 6), (2, 3)],  # halved and rounded down, as in Hadaptive-Net
        [(9, 13), (5, 7), (3, 4)],  # and up, as in ResNet
    ],
)
def test_every_output_has_the_size_of_its_input(sizes):
    neck = ACHPAFPN(**SMALL, num_extra_levels=2)
    outputs = neck(maps(SMALL["in_channels"], sizes))
    height, width = sizes[-1]
    extra = [(-(-height // step), -(-width // step)) for step in (2, 4)]
    assert [tuple(y.shape) for y in outputs] == [(2, 8, *size) for size in (*sizes, *extra)]


@pytest.mark.parametrize("width", sorted(NUM_SELECTED))
@pytest.mark.parametrize("use_depthwise", [False, True])
def test_no_larger_than_cspnext_pafpn_of_its_width(width, use_depthwise):
    class OnMaps(nn.Module):
        """The neck as a function of an image, whose maps are zeros."""

        def __init__(self, **cfg):
            super().__init__()
            cfg.update(in_channels=[width] * 3, out_channels=width)
            self.neck = MODELS.build(cfg).eval()

        def forward(self, image):
            sizes = [image.shape[-1] // stride for stride in (8, 16, 32)]
            return self.neck([image.new_zeros(1, width, size, size) for size in sizes])

    stock = OnMaps(type="CSPNeXtPAFPN", num_csp_blocks=1, use_depthwise=use_depthwise)
    ours, theirs = (complexity(m, (3, 320, 320)) for m in (OnMaps(type="ACHPAFPN"), stock))
    assert ours["parameters"] <= theirs["parameters"]
    assert ours["macs"] <= theirs["macs"]


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_gradients_reach_all_weights_and_temperatures_adapt(num_blocks):
    torch.manual_seed(0)
    neck = ACHPAFPN(**SMALL, num_blocks=num_blocks, num_extra_levels=1, ach_cfg=dict(tau=1.0))
    neck.init_weights()
    layers = list(adaptive_layers(neck))
    assert len(layers) == 4 * num_blocks
    optimizer = torch.optim.SGD(neck.parameters(), lr=0.01)
    adapt_temperature(neck, optimizer)
    before = [layer.temperature.tau.item() for layer in layers]
    # The first step knows no norm to compare with.
    for _ in range(2):
        optimizer.zero_grad()
        outputs = neck(maps(SMALL["in_channels"], [(8, 8), (4, 4), (2, 2)]))
        sum(y.square().mean() for y in outputs).backward()
        for name, parameter in neck.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        optimizer.step()
    after = [layer.temperature.tau.item() for layer in layers]
    assert all(a != b for a, b in zip(after, before, strict=True))


def test_channels_last_stays_and_changes_no_value():
    torch.manual_seed(0)
    neck = ACHPAFPN(**SMALL).eval()
    inputs = maps(SMALL["in_channels"], [(8, 8), (4, 4), (2, 2)])
    with torch.no_grad():
        expected = neck(inputs)
        neck.to(memory_format=torch.channels_last)
        actual = neck([x.contiguous(memory_format=torch.channels_last) for x in inputs])
    for y, z in zip(actual, expected, strict=True):
        assert y.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(y, z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_exported_neck_computes_the_same(tmp_path, dynamo):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    torch.manual_seed(0)
    neck = ACHPAFPN(**SMALL, num_extra_levels=1)
    # Statistics of training, without which the scores nearly tie.
    for _ in range(3):
        neck(maps(SMALL["in_channels"], [(8, 8), (4, 4), (2, 2)]))
    neck.eval()
    names, path = ["c3", "c4", "c5"], tmp_path / "neck.onnx"
    inputs = maps(SMALL["in_channels"], [(8, 12), (4, 6), (2, 3)])
    torch.onnx.export(neck, (inputs,), path, dynamo=dynamo, input_names=names, verbose=False)
    assert {node.domain for node in onnx.load(path).graph.node} == {""}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = [x + torch.randn_like(x) for x in inputs]
    actual = session.run(None, {n: x.numpy() for n, x in zip(names, inputs, strict=True)})
    with torch.no_grad():
        for y, z in zip(actual, neck(inputs), strict=True):
            np.testing.assert_allclose(y, z.numpy(), rtol=1e-5, atol=1e-5)


def test_options():
    selected = (2, 3, 4, 5)
    neck = ACHPAFPN(
        (6, 8, 10),
        8,
        num_selected=selected,
        kernel_size=3,
        ach_cfg=dict(selection="static", pointwise=True),
        norm_cfg=dict(type="GN", num_groups=1),
        act_cfg=dict(type="SiLU"),
    )
    layers = [m for m in neck.modules() if isinstance(m, AdaptiveCrossHadamard)]
    assert tuple(layer.num_selected for layer in layers) == selected
    assert {layer.selection for layer in layers} == {"static"}
    assert not any(isinstance(layer.pointwise, nn.Identity) for layer in layers)
    assert neck.top_down[0].fuse.depthwise.conv.kernel_size == (3, 3)
    kinds = {type(m) for m in neck.modules()}
    assert {nn.GroupNorm, nn.SiLU} <= kinds
    assert not {nn.BatchNorm2d, nn.Hardswish} & kinds


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (dict(in_channels=(6,)), r"in_channels must be .* at least two maps, got \(6,\)"),
        (dict(in_channels=8), "in_channels must be .* got 8"),
        (dict(in_channels=(6, 0)), "in_channels must be"),
        (dict(out_channels=1), "out_channels must be at least 2, got 1"),
        (dict(num_selected=None), "out_channels=8 needs num_selected.* 64, 96, 128"),
        (dict(num_selected=1), "between 2 and 16, got 1"),
        (dict(num_selected=17), "between 2 and 16, got 17"),
        (dict(num_selected=9, num_blocks=2), "between 2 and 8, got 9"),
        (dict(num_selected=(4, 4)), r"one number or 4, .* got \(4, 4\)"),
        (dict(num_blocks=0), "num_blocks must be at least 1, got 0"),
        (dict(kernel_size=4), "kernel_size must be odd, got 4"),
        (dict(num_extra_levels=-1), "num_extra_levels must not be negative, got -1"),
    ],
)
def test_refused_arguments(changed, message):
    with pytest.raises(ValueError, match=message):
        ACHPAFPN(**(SMALL | changed))


def test_refused_maps():
    neck = ACHPAFPN(**SMALL)
    with pytest.raises(ValueError, match="3 maps, got 2"):
        neck(maps((6, 8), [(8, 8), (4, 4)]))
