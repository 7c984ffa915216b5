"""The layer with the compiled depthwise convolution is nn.Conv2d to everything but the clock."""

import copy
import warnings

import pytest
import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from mmengine.model import BaseModule
from torch import fx, nn
from torch.utils.flop_counter import FlopCounterMode

from mmhadaptive.analysis.complexity import count_operations
from mmhadaptive.layers import AdaptiveBottleneck, DepthwiseConv2d, GhostExpansion
from mmhadaptive.layers import depthwise_conv as module
from mmhadaptive.ops.library import DEVICES

needs_library = pytest.mark.skipif("cpu" not in DEVICES, reason="the operator is not compiled")


def twins(*args, dtype=torch.float32, **kwargs):
    """A layer and an nn.Conv2d with its weights."""
    torch.manual_seed(0)
    layer = DepthwiseConv2d(*args, **kwargs).to(dtype, memory_format=torch.channels_last)
    plain = nn.Conv2d(*args, **kwargs).to(dtype)
    plain.load_state_dict(layer.state_dict())
    return layer, plain


def make_x(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(dtype, memory_format=torch.channels_last).requires_grad_()


@pytest.fixture
def calls(monkeypatch):
    """The calls of the compiled convolution."""
    seen = []

    def spy(*args):
        seen.append(args)
        return original(*args)

    original = module.depthwise_conv2d
    monkeypatch.setattr(module, "depthwise_conv2d", spy)
    return seen


def outputs(layer, x):
    y = layer(x)
    grads = torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])
    return [y, *grads]


FAST = [
    dict(kernel_size=3, padding=1),
    dict(kernel_size=5, padding=2, bias=False),
    dict(kernel_size=7, padding=3, stride=2),
    dict(kernel_size=5),
]
PLAIN = [
    dict(kernel_size=2, stride=2),
    dict(kernel_size=(3, 5)),
    dict(kernel_size=5, dilation=2),
    dict(kernel_size=5, stride=(1, 2)),
    dict(kernel_size=5, stride=3),
    dict(kernel_size=5, padding="same"),
    dict(kernel_size=5, padding=2, padding_mode="circular"),
    dict(kernel_size=3, padding=4),
    dict(kernel_size=9),
    dict(kernel_size=5, groups=1),
    dict(kernel_size=5, groups=6),
]


@pytest.mark.parametrize("arguments", FAST + PLAIN, ids=str)
def test_computes_what_conv2d_computes(arguments, calls):
    layer, plain = twins(12, 12, **{"groups": 12, **arguments})
    x = make_x(2, 12, 11, 13)
    torch.testing.assert_close(outputs(layer, x), outputs(plain, x), rtol=1e-4, atol=1e-4)
    assert len(calls) == ("cpu" in DEVICES and arguments in FAST)


@needs_library
def test_the_choice_follows_what_is_asked_for(calls):
    small, _ = twins(12, 12, 3, padding=1, groups=12)
    large, _ = twins(12, 12, 5, padding=2, groups=12)
    x = make_x(2, 12, 7, 7)
    # Without a gradient oneDNN is as fast with small kernels and in NCHW.
    with torch.no_grad():
        small(x)
        large(x.contiguous())
        assert not calls
        large(x)
        assert len(calls) == 1
    large.double()(x.double())
    large.float().half()
    assert len(calls) == 1


def test_refuses_what_conv2d_refuses():
    layer, plain = twins(12, 12, 5, groups=12)
    for x in (make_x(2, 11, 7, 7), make_x(2, 12, 7, 7, dtype=torch.bfloat16), make_x(2, 12, 3, 3)):
        for convolution in (layer, plain):
            with pytest.raises(RuntimeError):
                convolution(x)
    x = torch.randn(12, 7, 7)
    torch.testing.assert_close(layer(x), plain(x))
    x = torch.randn(0, 12, 7, 7)
    assert layer(x).shape == plain(x).shape


@pytest.mark.parametrize("low", ["autocast", "layer"])
def test_bfloat16(low, calls):
    dtype = torch.bfloat16 if low == "layer" else torch.float32
    layer, plain = twins(12, 12, 5, padding=2, groups=12, dtype=dtype)
    x = make_x(2, 12, 7, 7, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=low == "autocast"):
        found, expected = outputs(layer, x), outputs(plain, x)
    assert [t.dtype for t in found] == [t.dtype for t in expected]
    for a, b in zip(found, expected, strict=True):
        assert (a - b).float().norm() <= 2e-2 * b.float().norm()
    assert len(calls) == ("cpu" in DEVICES)


def test_to_whatever_takes_a_network_apart_it_is_a_convolution(calls):
    layer, plain = twins(12, 12, 5, padding=2, groups=12)
    x = make_x(2, 12, 7, 7)
    expected = plain(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(layer, (x,), check_trace=False)
        scripted = torch.jit.script(layer)
    exported = torch.export.export(layer, (x,)).module()
    not_strict = torch.export.export(layer, (x,), strict=False)
    symbolic = fx.symbolic_trace(nn.Sequential(layer))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for way in (traced, scripted, exported, not_strict.module(), symbolic, compiled):
        torch.testing.assert_close(way(x), expected)
    graphs = (not_strict.graph, symbolic.graph, traced.graph)
    assert not any("depthwise_conv2d" in str(graph) for graph in graphs)
    torch.testing.assert_close(torch.func.vmap(layer)(x[None])[0], expected)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * expected.numel() * 25
    assert count_operations(layer, (x,))[""]["conv"] == expected.numel() * 25
    assert not calls


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_onnx_export_has_a_convolution(tmp_path, dynamo):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    layer, _ = twins(12, 12, 5, padding=2, groups=12)
    path = tmp_path / "layer.onnx"
    torch.onnx.export(layer.eval(), (torch.randn(2, 12, 7, 7),), path, dynamo=dynamo, verbose=False)
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Conv"]


def test_conv_module_and_fusion():
    torch.manual_seed(0)
    block = ConvModule(
        12,
        12,
        5,
        padding=2,
        groups=12,
        conv_cfg=dict(type="DepthwiseConv2d"),
        norm_cfg=dict(type="BN"),
    )
    block.init_weights()
    assert type(block.conv) is DepthwiseConv2d
    block(make_x(4, 12, 7, 7))
    block.eval()
    x = make_x(4, 12, 7, 7)
    expected = block(x)
    fused = fuse_conv_bn(copy.deepcopy(block))
    assert isinstance(fused.bn, nn.Identity)
    torch.testing.assert_close(fused(x), expected, rtol=1e-4, atol=1e-5)


def test_initialisation_by_config_reaches_it():
    class Model(BaseModule):
        def __init__(self):
            super().__init__(dict(type="Constant", layer="Conv2d", val=3.0))
            self.layer = DepthwiseConv2d(4, 4, 3, groups=4)

    model = Model()
    model.init_weights()
    assert model.layer.weight.eq(3).all()


def test_blocks_have_it():
    expansion = dict(type="GhostExpansion", out_channels=16)
    block = AdaptiveBottleneck(expansion, 8, 8, 5)
    assert type(block.depthwise.conv) is DepthwiseConv2d
    assert type(GhostExpansion(8, 16).cheap.conv) is DepthwiseConv2d
