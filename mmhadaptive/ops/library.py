"""Loads the compiled libraries and tells the dispatcher what they do not hold: fake, autograd,
batching and autocast rules."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch
from torch import Tensor

from .arguments import autocast_input, check, memory_format_of, num_products
from .reference import composition, cross_hadamard_reference, is_transformed

FOLDER = Path(__file__).parent
Grads = tuple[Tensor | None, ...]


def load() -> frozenset[str]:
    """Load the libraries that are there and return the device types that have kernels."""
    if os.environ.get("MMHADAPTIVE_REFERENCE", "0") not in ("", "0"):
        return frozenset()
    cpu, cuda = FOLDER / "libmmhadaptive_cpu.so", FOLDER / "libmmhadaptive_cuda.so"
    if not cpu.exists():
        warnings.warn(
            "mmhadaptive was installed without its compiled operator; the slower PyTorch "
            "implementation is used. Reinstall with a C++ compiler and torch 2.10 or newer.",
            stacklevel=2,
        )
        return frozenset()
    torch.ops.load_library(cpu)
    devices = {"cpu", "meta"}
    # The CUDA library needs libtorch_cuda, which a CPU build of torch does not have.
    if torch.version.cuda is not None and cuda.exists():
        torch.ops.load_library(cuda)
        devices.add("cuda")
    elif torch.cuda.is_available():
        warnings.warn(
            "mmhadaptive was installed without its CUDA operator; the slower PyTorch "
            "implementation is used on the GPU. Reinstall with nvcc, or MMHADAPTIVE_CUDA=1.",
            stacklevel=2,
        )
    register()
    return frozenset(devices)


def register() -> None:
    """Give the operators their fake, autograd, batching and autocast kernels."""
    forward, backward = "mmhadaptive::cross_hadamard", "mmhadaptive::cross_hadamard_backward"
    torch.library.register_fake(forward, _fake)
    torch.library.register_fake(backward, _backward_fake)
    torch.library.impl(forward, "Autograd", _autograd)
    torch.library.impl(backward, "Autograd", _backward_autograd)
    # What they call is batched in turn.
    torch.library.impl(forward, "FuncTorchBatched", cross_hadamard_reference)
    torch.library.impl(backward, "FuncTorchBatched", _composed_backward)
    for key, device in (("AutocastCPU", "cpu"), ("AutocastCUDA", "cuda")):
        torch.library.impl(forward, key, _autocast_rule(device))


def _fake(x, index, gate, alpha, weight, bias, norm="softsign", strategy="auto"):
    check(x, index, gate, alpha, weight, bias, norm, strategy)
    batch, channels, height, width = x.shape
    shape = (batch, channels + num_products(index.shape[1]), height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format_of(x))


def _backward_fake(
    dy, x, index, gate, alpha, weight, norm, need_x, need_gate, need_alpha, need_weight, need_bias
):
    pairs = num_products(index.shape[1])
    dx = x.new_empty(0)
    if need_x:
        dx = torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=memory_format_of(x))
    return (
        dx,
        gate.new_empty(gate.shape if need_gate else 0),
        gate.new_empty(1 if need_alpha else 0),
        gate.new_empty(pairs if need_weight else 0),
        gate.new_empty(pairs if need_bias else 0),
    )


# torch.library.register_autograd would do the same as the next functions and classes, but takes
# longer than the operator itself does on the small maps of the last stages.
def _autograd(x, index, gate, alpha, weight, bias, norm="softsign", strategy="auto"):
    args = (x, index, gate, alpha, weight, bias, norm, strategy)
    if is_transformed():
        return cross_hadamard_reference(*args)
    if _needs_grad(x, gate, alpha, weight, bias):
        return _CrossHadamard.apply(*args)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.mmhadaptive.cross_hadamard.default(*args)


def _backward_autograd(*args):
    if is_transformed():
        return _composed_backward(*args)
    if _needs_grad(*args[:2], *args[3:6]):
        return _CrossHadamardBackward.apply(*args)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.mmhadaptive.cross_hadamard_backward.default(*args)


def _needs_grad(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


class _CrossHadamard(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *args):
        x, index, gate, alpha, weight, _, ctx.norm, _ = args
        ctx.save_for_backward(x, index, gate, alpha, weight)
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.mmhadaptive.cross_hadamard.default(*args)

    @staticmethod
    def backward(ctx, dy: Tensor) -> Grads:
        need_x, _, *need_rest = ctx.needs_input_grad[:6]
        needs = (need_x, *need_rest)
        # By the dispatcher, since dy may be a batch of gradients (is_grads_batched).
        backward = torch.ops.mmhadaptive.cross_hadamard_backward.default
        grads = backward(dy, *ctx.saved_tensors, ctx.norm, *needs)
        dx, *rest = (grad if need else None for grad, need in zip(grads, needs, strict=True))
        return dx, None, *rest, None, None


class _CrossHadamardBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *args):
        *tensors, ctx.norm = args[:7]
        ctx.needs = args[7:]
        ctx.save_for_backward(*tensors)
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.mmhadaptive.cross_hadamard_backward.default(*args)

    @staticmethod
    def backward(ctx, *grads: Tensor | None) -> Grads:
        return _double_backward(ctx, *grads)


def _composed_backward(dy, x, index, gate, alpha, weight, norm, *needs: bool) -> Grads:
    """The backward in PyTorch operations, differentiable any number of times and in any mode.

    A gradient that is not needed is empty.
    """
    with torch.enable_grad():
        x, gate, alpha, weight = map(_alias, (x, gate, alpha, weight))
        bias = None if weight is None else torch.zeros_like(weight, requires_grad=True)
        y = composition(x, index, gate, alpha, weight, bias, norm)
        inputs = (x, gate, alpha, weight, bias)
        wanted = [t for t, need in zip(inputs, needs, strict=True) if need]
        found = iter(torch.autograd.grad(y, wanted, dy, create_graph=True))
    return tuple(next(found) if need else gate.new_empty(0) for need in needs)


def _alias(t: Tensor | None) -> Tensor | None:
    """A differentiable view, so that a gradient with respect to it is that of what is computed
    from it here, and not of how t came about. A detached tensor would lose its tangent."""
    return None if t is None else t.view_as(t).requires_grad_()


def _double_backward(ctx, *grads: Tensor | None) -> Grads:
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        dy, x, index, gate, alpha, weight = ctx.saved_tensors
        inputs = [_alias(t) for t in (dy, x, gate, alpha, weight)]
        dy, x, gate, alpha, weight = inputs
        firsts = _composed_backward(dy, x, index, gate, alpha, weight, ctx.norm, *ctx.needs)
        wanted = [
            (first, grad)
            for first, grad, need in zip(firsts, grads, ctx.needs, strict=True)
            if need and grad is not None
        ]
        given = [t for t in inputs if t is not None]
        seconds = torch.autograd.grad(
            [first for first, _ in wanted],
            given,
            [grad for _, grad in wanted],
            create_graph=create_graph,
            allow_unused=True,
        )
    by_input = dict(zip(map(id, given), seconds, strict=True))
    ddy, dx, dgate, dalpha, dweight = (by_input.get(id(t)) for t in inputs)
    return ddy, dx, None, dgate, dalpha, dweight, *[None] * 6


def _autocast_rule(device: str):
    def rule(x, index, gate, alpha, weight, bias, norm="softsign", strategy="auto"):
        x = autocast_input(x)
        with torch.autocast(device, enabled=False):
            return torch.ops.mmhadaptive.cross_hadamard(
                x, index, gate, alpha, weight, bias, norm, strategy
            )

    return rule


DEVICES = load()
