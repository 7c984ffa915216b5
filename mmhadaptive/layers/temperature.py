"""The temperature of the Gumbel choice, which adapts to gradient norms (eq. 7, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

TAU_MIN, TAU_MAX = 0.01, 4.0


class AdaptiveTemperature(nn.Module):
    """``tau <- clamp(tau * (1 + rate * d), 0.01, 4.0)``, d = 1 if the norm did not fall, else -1.

    Args:
        tau: Initial temperature.
        rate: Relative step, the paper's ``a``.

    Both the temperature and the last gradient norm are buffers, so a checkpoint, a resumed run
    and an averaged model carry them.

    Attributes:
        adapted: Whether :func:`adapt_temperature` sees to the updates.
    """

    adapted = False

    def __init__(self, tau: float = TAU_MAX, rate: float = 0.01) -> None:
        super().__init__()
        if not TAU_MIN <= tau <= TAU_MAX:
            raise ValueError(f"tau must be in [{TAU_MIN}, {TAU_MAX}], got {tau}")
        self.rate = rate
        self.register_buffer("tau", torch.tensor(float(tau)))
        self.register_buffer("last_norm", torch.tensor(0.0))

    @torch.no_grad()
    def update(self, norm: Tensor) -> None:
        """Take one step of Algorithm 1 for a new gradient norm (a scalar, without a host sync).

        The first norm, and one after a norm of zero, change the history alone; norms that are not
        finite change nothing.
        """
        norm = norm.to(self.last_norm)
        finite = torch.isfinite(norm)
        direction = torch.where(norm >= self.last_norm, 1.0, -1.0)
        adapted = (self.tau * (1 + self.rate * direction)).clamp(TAU_MIN, TAU_MAX)
        self.tau.copy_(torch.where(finite & (self.last_norm != 0), adapted, self.tau))
        self.last_norm.copy_(torch.where(finite, norm, self.last_norm))


def adaptive_layers(model: nn.Module) -> Iterator[nn.Module]:
    """The layers of ``model`` that choose channels with an adaptive temperature."""
    for module in model.modules():
        if isinstance(getattr(module, "temperature", None), AdaptiveTemperature):
            yield module


def adapt_temperature(model: nn.Module, optimizer: Optimizer) -> RemovableHandle:
    """Let every step of ``optimizer`` update the temperatures of the layers that it trains.

    These are the layers of ``model`` whose score weight is in one of its parameter groups at that
    step, so of several optimizers each takes care of its own.

    This is the one line that a training loop in plain PyTorch needs:

    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> adapt_temperature(model, optimizer)

    The gradients are read right before the step: after unscaling under automatic mixed
    precision, after the all-reduce of DistributedDataParallel (all ranks stay equal), after
    clipping, once for an accumulated batch, and not at all in a step that a gradient scaler skips.

    Args:
        model: A model that contains :class:`AdaptiveCrossHadamard` layers, wrapped or not.
        optimizer: An optimizer of its parameters; call it once for each if there are several.

    Returns:
        A handle whose ``remove()`` ends the updates.
    """
    layers = list(adaptive_layers(model))
    for layer in layers:
        layer.temperature.adapted = True

    def update(optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        # A gradient scaler leaves it to fused optimizers to unscale and to skip inside their step.
        scale = getattr(optimizer, "grad_scale", None)
        skipped = getattr(optimizer, "found_inf", None)
        trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for layer in layers:
            gradient = layer.scores.weight.grad
            if gradient is None or id(layer.scores.weight) not in trained:
                continue
            norm = torch.linalg.vector_norm(gradient.float())
            if scale is not None:
                norm = norm / scale.to(norm.device)
            if skipped is not None:
                norm = torch.where(skipped.to(norm.device) > 0, torch.inf, norm)
            layer.temperature.update(norm)

    return optimizer.register_step_pre_hook(update)
