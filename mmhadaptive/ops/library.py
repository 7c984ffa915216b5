"""Loads the compiled libraries and tells the dispatcher what they do not hold: fake, autograd and
autocast rules."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch
from torch import Tensor

from .arguments import autocast_input, check, memory_format_of, num_products
from .reference import composition

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
    libraries = {"cpu": cpu}
    # The CUDA library needs libtorch_cuda, which a CPU build of torch does not have.
    if torch.version.cuda is not None and cuda.exists():
        libraries["cuda"] = cuda
    devices: set[str] = set()
    for device, library in libraries.items():
        try:
            torch.ops.load_library(library)
        except OSError as error:
            warnings.warn(
                f"{library.name} does not load beside torch {torch.__version__}; the slower "
                "PyTorch implementation is used in its place. It needs torch 2.10 or newer; if "
                f"yours is, reinstall mmhadaptive beside it. ({error.__cause__ or error})",
                stacklevel=2,
            )
            break  # The CUDA library has kernels for what the CPU library declares.
        devices.add(device)
    else:
        if "cuda" not in devices and torch.cuda.is_available():
            warnings.warn(
                "mmhadaptive was installed without its CUDA operator; the slower PyTorch "
                "implementation is used on the GPU. Reinstall with nvcc, or MMHADAPTIVE_CUDA=1.",
                stacklevel=2,
            )
    if devices:
        register()
        devices.add("meta")
    return frozenset(devices)


def register() -> None:
    """Give the operators their fake, autograd and autocast kernels."""
    forward, backward = "mmhadaptive::cross_hadamard", "mmhadaptive::cross_hadamard_backward"
    torch.library.register_fake(forward, _fake)
    torch.library.register_fake(backward, _backward_fake)
    torch.library.impl(forward, "Autograd", _autograd)
    torch.library.impl(backward, "Autograd", _backward_autograd)
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


# torch.library.register_autograd would do the same as the next two functions and classes, but takes
# longer than the operator itself does on the small maps of the last stages.
def _autograd(x, index, gate, alpha, weight, bias, norm="softsign", strategy="auto"):
    args = (x, index, gate, alpha, weight, bias, norm, strategy)
    if _needs_grad(x, gate, alpha, weight, bias):
        return _CrossHadamard.apply(*args)
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.mmhadaptive.cross_hadamard.default(*args)


def _backward_autograd(*args):
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
        grads = _backward_autograd(dy, *ctx.saved_tensors, ctx.norm, *needs)
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


def _double_backward(ctx, *grads: Tensor | None) -> Grads:
    """Differentiates the PyTorch composition twice; it is no path to be fast on."""
    create_graph = torch.is_grad_enabled()
    dy, x, index, gate, alpha, weight = ctx.saved_tensors
    with torch.enable_grad():
        # Aliases, so that only what the operator itself computes is differentiated, and not how
        # its inputs came about.
        inputs = [
            t if t is None else t.view_as(t) if t.requires_grad else t.detach().requires_grad_()
            for t in (dy, x, gate, alpha, weight)
        ]
        dy, x, gate, alpha, weight = inputs
        bias = None if weight is None else torch.zeros_like(weight, requires_grad=True)
        y = composition(x, index, gate, alpha, weight, bias, ctx.norm)
        wanted = [
            (t, grad)
            for t, grad, need in zip((x, gate, alpha, weight, bias), grads, ctx.needs, strict=True)
            if need and grad is not None
        ]
        firsts = torch.autograd.grad(y, [t for t, _ in wanted], dy, create_graph=True)
        given = [t for t in inputs if t is not None]
        seconds = torch.autograd.grad(
            firsts, given, [g for _, g in wanted], create_graph=create_graph, allow_unused=True
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
