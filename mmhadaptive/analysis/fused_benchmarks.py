"""The suite that times fused networks and their blocks beside PyTorch's and ONNX Runtime's, as rows
of numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mmhadaptive.layers import AdaptiveBottleneck, AdaptiveCrossHadamard
from mmhadaptive.models import HadaptiveNet

from .operator_benchmarks import Options
from .timers import median_times

# What makes a model faster, and what makes a function of a model that runs elsewhere.
Fuse = Callable[[nn.Module], nn.Module]
Runtime = Callable[[nn.Module, Tensor], Callable[[], object]]
BLOCK_ROUNDS = 200
NETWORK_ROUNDS = 100


def fused(options: Options, fold: Fuse, fuse: Fuse, runtime: Runtime | None) -> Iterator[dict]:
    """Hadaptive-Net's cross-Hadamard bottlenecks, every one of another shape, and its networks.

    Each row holds the ``network``, ``what`` of it is timed, the ``input`` and the ``batch``, and
    the seconds of ``eager`` (PyTorch with folded BatchNorms), ``fused`` and, of networks,
    ``runtime``, which take turns for a fixed number of rounds.

    Args:
        options: ``batches``, ``sizes`` and ``networks`` count.
        fold: Folds BatchNorms of a copy.
        fuse: Fuses a copy.
        runtime: Of a network and an image, a function that runs the network on it; or None.
    """
    for arch in options.networks:
        network = HadaptiveNet(arch=arch.lower()).eval()
        for size in options.sizes:
            for batch in options.batches:
                x = torch.randn(batch, 3, size, size)
                with torch.inference_mode():
                    yield from _measured(arch, network, x, fold, fuse, runtime)


def _measured(
    arch: str,
    network: nn.Module,
    x: Tensor,
    fold: Fuse,
    fuse: Fuse,
    runtime: Runtime | None,
) -> Iterator[dict]:
    case = dict(network=arch, input=x.shape[-1], batch=len(x))
    seen = set()
    for block, given in _bottlenecks(network, x):
        what = f"ACH {block.expand.in_channels}, k={block.expand.num_selected}, "
        kernel = block.depthwise.conv.kernel_size[0]
        what += f"{kernel}x{kernel}, {given.shape[2]}x{given.shape[3]}"
        if what in seen:
            continue
        seen.add(what)
        functions = dict(eager=_call(fold(block), given), fused=_call(_in_sequence(fuse, block), given))
        yield dict(case, what=what, **median_times(functions, BLOCK_ROUNDS))
    functions = dict(eager=_call(fold(network), x), fused=_call(fuse(network), x))
    if runtime is not None:
        functions["runtime"] = runtime(network, x)
    yield dict(case, what="network", **median_times(functions, NETWORK_ROUNDS))


def _call(module: nn.Module, x: Tensor) -> Callable[[], object]:
    return functools.partial(module, x)


def _in_sequence(fuse: Fuse, block: nn.Module) -> nn.Module:
    """The block itself is replaced, and so has to be a part of something."""
    return fuse(nn.Sequential(block))[0]


def _bottlenecks(network: nn.Module, x: Tensor) -> list[tuple[AdaptiveBottleneck, Tensor]]:
    """The cross-Hadamard bottlenecks and what they are given."""
    found, handles = [], []
    for module in network.modules():
        is_bottleneck = isinstance(module, AdaptiveBottleneck)
        if is_bottleneck and isinstance(module.expand, AdaptiveCrossHadamard):
            handles.append(
                module.register_forward_pre_hook(
                    lambda block, inputs: found.append((block, inputs[0].clone()))
                )
            )
    network(x)
    for handle in handles:
        handle.remove()
    return found
