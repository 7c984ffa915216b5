"""Dynamic normalisations of the products: bounded functions with a learnable input scale."""

from __future__ import annotations

from typing import ClassVar

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm


class DynamicNorm(_InstanceNorm):
    """``y = weight * f(alpha * x) + bias`` with a bounded function ``f``.

    It needs no statistics of the batch, so it behaves alike in training and inference. As one of
    PyTorch's normalisations of single samples it is known as a normalisation everywhere: mmengine's
    ``norm_decay_mult`` holds for its parameters, and mmcv's ``build_norm_layer`` builds it.

    Args:
        num_features: Number of channels.
        alpha: Initial value of the scalar that scales the input.
        eps: Not used, since nothing is divided by; ``build_norm_layer`` gives it to every layer.

    Shapes:
        ``(N, num_features, H, W)`` in and out; ``alpha`` has shape ``(1,)``, ``weight`` (initially
        1) and ``bias`` (initially 0) have ``(num_features,)``.
    """

    #: The name of ``f`` in :func:`mmhadaptive.ops.cross_hadamard`, which fuses it.
    function: ClassVar[str]
    #: What mmcv calls the layer where a module has one beside a convolution.
    _abbr_: ClassVar[str] = "dy"

    def __init__(self, num_features: int, alpha: float = 0.5, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps, affine=True)
        self.alpha = nn.Parameter(torch.full((1,), float(alpha)))

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
