"""The suite that times ``DepthwiseConv2d`` beside ``nn.Conv2d``, as rows of numbers."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mmhadaptive.layers import DepthwiseConv2d
from mmhadaptive.models import HadaptiveNet

from .operator_benchmarks import Options
from .timers import median_times

# Batch, channels, kernel, map, stride. The first six are layers of Hadaptive-Net-S with inputs of
# 64 to 320 pixels, then its Ghost expansions at 224 and one with stride.
CASES = (
    (64, 624, 7, 2, 1),
    (64, 216, 5, 4, 1),
    (16, 624, 7, 4, 1),
    (32, 624, 7, 7, 1),
    (32, 216, 5, 14, 1),
    (16, 624, 7, 10, 1),
    (16, 128, 3, 28, 1),
    (16, 64, 3, 56, 1),
    (16, 144, 5, 28, 2),
)
CASE_ROUNDS = 200
# Batch and input of a step of the classifier.
STEPS = ((64, 64), (16, 224))
STEP_ROUNDS = 30


def depthwise(options: Options) -> Iterator[dict]:
    """Both layers in training on the CPU, and a classifier's training step with either.

    Each row holds the ``case``, ``what`` of it is timed, and the seconds of both, which take turns
    for a fixed number of rounds.
    """
    for case in CASES:
        for channels_last in options.channels_last:
            yield from _convolution(options, *case, channels_last)
    for batch, size in STEPS:
        plain, own = (_step(model, batch, size) for model in _classifiers())
        times = median_times(dict(conv2d=plain, own=own), STEP_ROUNDS)
        case = f"Hadaptive-Net-S, {batch} x {size}²"
        yield dict(case=case, what="step", channels_last=True, **times)


def _convolution(
    options: Options,
    batch: int,
    channels: int,
    kernel: int,
    extent: int,
    stride: int,
    channels_last: bool,
) -> Iterator[dict]:
    form = torch.channels_last if channels_last else torch.contiguous_format
    own = DepthwiseConv2d(
        channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
    ).to(options.dtype)
    x = torch.randn(batch, channels, extent, extent, dtype=options.dtype)
    x = x.contiguous(memory_format=form).requires_grad_()
    layers = dict(conv2d=with_plain_convolutions(own), own=own)
    case = f"{batch} x {channels} x {extent}², {kernel}x{kernel}"
    if stride > 1:
        case += f", stride {stride}"
    forward = {name: functools.partial(layer, x) for name, layer in layers.items()}
    backward = {name: _backward(layer(x), [x, layer.weight]) for name, layer in layers.items()}
    for what, functions in (("forward", forward), ("backward", backward)):
        times = median_times(functions, CASE_ROUNDS)
        yield dict(case=case, what=what, channels_last=channels_last, **times)


def _backward(y: Tensor, inputs: list[Tensor]) -> Callable[[], object]:
    dy = torch.randn_like(y)
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def with_plain_convolutions(model: nn.Module) -> nn.Module:
    """A copy with ``nn.Conv2d`` for ``DepthwiseConv2d``, which differs in its forward alone."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, DepthwiseConv2d):
            module.__class__ = nn.Conv2d
    return model


def _classifiers() -> list[nn.Module]:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(960, 100))
    # tau_rate=0: the temperature has no hook here that adapts it.
    backbone = HadaptiveNet(arch="s", ach_cfg=dict(tau_rate=0.0))
    own = nn.Sequential(_First(backbone), *head).to(memory_format=torch.channels_last)
    return [with_plain_convolutions(own), own]


class _First(nn.Module):
    """The first output of a backbone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x)[0]


def _step(model: nn.Module, batch: int, size: int) -> Callable[[], None]:
    x = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch) % 100
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
