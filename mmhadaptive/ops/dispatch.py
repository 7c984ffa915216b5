"""Registers the operator: its kernels in PyTorch operations, and its fake, autograd, batching and
autocast rules.

``torch.ops.mmhadaptive.cross_hadamard`` exists with and without the compiled library, and computes
on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import autocast_input, check, memory_format_of, num_products
from .library import DEVICES
from .reference import composition, cross_hadamard_reference, is_transformed

FORWARD, BACKWARD = "mmhadaptive::cross_hadamard", "mmhadaptive::cross_hadamard_backward"
# csrc/pytorch/cross_hadamard_schema.cpp has the same; packages of AOTInductor need it there.
SCHEMA = (
    "(Tensor x, Tensor index, Tensor gate, Tensor? alpha, Tensor? weight, Tensor? bias, "
    "str norm='softsign', str strategy='auto') -> Tensor"
)
Grads = tuple[Tensor | None, ...]


def register() -> None:
    """Give the operator what the compiled libraries do not hold."""
    if DEVICES:
        torch.library.register_fake(BACKWARD, _backward_fake)
        torch.library.impl(BACKWARD, "Autograd", _backward_autograd)
        torch.library.impl(BACKWARD, "FuncTorchBatched", _composed_backward)
    else:
        torch.library.define(FORWARD, SCHEMA)
    torch.library.impl(FORWARD, "CompositeExplicitAutograd", cross_hadamard_reference)
    torch.library.register_fake(FORWARD, _fake)
    torch.library.impl(FORWARD, "Autograd", _autograd)
    # What a batching rule calls is batched in turn.
    torch.library.impl(FORWARD, "FuncTorchBatched", cross_hadamard_reference)
    for key, device in (("AutocastCPU", "cpu"), ("AutocastCUDA", "cuda")):
        torch.library.impl(FORWARD, key, _autocast_rule(device))


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
        compiled = x.device.type in DEVICES
        return _CrossHadamard.apply(*args) if compiled else cross_hadamard_reference(*args)
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


register()
