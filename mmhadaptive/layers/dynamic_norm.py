"""Dynamic normalisations of the products: bounded functions with a learnable input scale."""

from __future__ import annotations

from typing import ClassVar

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn


class DynamicNorm(nn.Module):
    """``y = weight * f(alpha * x) + bias`` with a bounded function ``f``.

    It needs no statistics of the batch, so it behaves alike in training and inference.

    Args:
        num_features: Number of channels.
        alpha: Initial value of the scalar that scales the input.

    Shapes:
        ``(N, num_features, H, W)`` in and out; ``alpha`` has shape ``(1,)``, ``weight`` (initially
        1) and ``bias`` (initially 0) have ``(num_features,)``.
    """

    #: The name of ``f`` in :func:`mmhadaptive.ops.cross_hadamard`, which fuses it.
    function: ClassVar[str]

    def __init__(self, num_features: int, alpha: float = 0.5) -> None:
        super().__init__()
        self.num_features = num_features
        self.alpha = nn.Parameter(torch.full((1,), float(alpha)))
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def bounded(self, x: Tensor) -> Tensor:
        """The function ``f``, element by element."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, 1, 1)
        return self.weight.view(shape) * self.bounded(self.alpha * x) + self.bias.view(shape)

    def extra_repr(self) -> str:
        return str(self.num_features)


@MODELS.register_module()
class DySoft(DynamicNorm):
    """Dynamic softsign, ``f(v) = v / (1 + |v|)``; the default of the paper."""

    function = "softsign"

    def bounded(self, x: Tensor) -> Tensor:
        return nn.functional.softsign(x)


@MODELS.register_module()
class DySig(DynamicNorm):
    """Dynamic sigmoid, ``f(v) = sigmoid(v) - 1/2`` (Table 1 of the paper)."""

    function = "sigmoid"

    def bounded(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) - 0.5


@MODELS.register_module()
class DyAlge(DynamicNorm):
    """Dynamic algebraic function, ``f(v) = v / sqrt(1 + v^2)`` (Table 1 of the paper)."""

    function = "algebraic"

    def bounded(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(1 + x * x)
