"""A block that is one of several candidates, drawn as in GDAS.

X. Dong and Y. Yang, Searching for a robust neural architecture in four GPU hours, CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.dist import broadcast
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmhadaptive.layers import gumbel_noise, straight_through

MAX_DRAWS = 10


class Choice(BaseModule):
    """One of several blocks, by learned logits.

    In training it is the candidate that :func:`draw_choices` has drawn, and no other one runs; in
    evaluation it is the one of the largest logit.

    Args:
        candidates: Blocks of the same shapes, by name. One that adds its input to its output has
            the attribute ``with_residual``, as bottlenecks have; so does, in effect, an
            ``nn.Identity``.

    Attributes:
        alpha: The logits, ``(len(candidates),)``; at first close to zero.
        index: The candidate that was drawn; None before the first draw.
        gates: None, or the weights of the candidates: one-hot, with the gradient of the softmax.
            The output then is ``gates[index] * candidate(x)`` plus the other gates, which are zero
            but pass their gradient on. Of a candidate with a residual the gate weights what it
            adds to ``x``: a normalisation that follows undoes the scale of the whole sum, whose
            gate would have no gradient.
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(candidates)
        self.candidates = nn.ModuleList(candidates.values())
        # The scale of the authors of GDAS.
        self.alpha = nn.Parameter(1e-3 * torch.randn(len(self.names)))
        self.index: int | None = None
        self.gates: Tensor | None = None

    @property
    def confidence(self) -> Tensor:
        """The probabilities of the candidates, ``(len(candidates),)``."""
        return self.alpha.detach().softmax(0)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.candidates[int(self.alpha.argmax())](x)
        if self.index is None:
            raise RuntimeError("draw_choices(model, tau) comes before every step of a training")
        y = self.candidates[self.index](x)
        if self.gates is None:
            return y
        own = self.gates[self.index]
        # The gate is 1, so that the output is y to the bit.
        return y + (own - 1) * self._gated(x, y) + (self.gates.sum() - own)

    def _gated(self, x: Tensor, y: Tensor) -> Tensor:
        candidate = self.candidates[self.index]
        blank = isinstance(candidate, nn.Identity)
        return y - x if getattr(candidate, "with_residual", blank) else y

    def extra_repr(self) -> str:
        return f"names={self.names}"


def choices(model: nn.Module) -> list[Choice]:
    """The choices in a model, in the order of its modules."""
    return [module for module in model.modules() if isinstance(module, Choice)]


def draw_choices(model: nn.Module, tau: float, differentiable: bool = False) -> None:
    """Draw a candidate of every choice of a model, for the next forward and backward pass.

    With ``P = softmax((log_softmax(alpha) + g) / tau)`` and Gumbel noise ``g`` the candidate is the
    argmax of ``P``. All processes of a distributed training draw the same. A draw that is not
    finite is drawn again.

    Args:
        model: The model.
        tau: Temperature.
        differentiable: Whether the candidate is weighted by a gate whose gradient is that of ``P``;
            it serves one backward pass.

    Raises:
        FloatingPointError: The logits are not finite, or no draw is.
    """
    blocks = choices(model)
    if not blocks:
        return
    alphas = torch.cat([block.alpha for block in blocks])
    if not alphas.isfinite().all():
        raise FloatingPointError("the logits of the candidates are not finite")
    sizes = [len(block.names) for block in blocks]
    for _ in range(MAX_DRAWS):
        noise = gumbel_noise(alphas.detach())
        broadcast(noise)
        noisy = [
            alpha.log_softmax(0) + part
            for alpha, part in zip(alphas.split(sizes), noise.split(sizes), strict=True)
        ]
        soft = [(each / tau).softmax(0) for each in noisy]
        if torch.cat([*noisy, *soft]).isfinite().all():
            break
    else:
        raise FloatingPointError(f"no finite draw in {MAX_DRAWS}, at tau {tau}")
    indices = torch.stack([each.argmax() for each in noisy])
    # One wait for the GPU for all of them.
    for block, probabilities, index in zip(blocks, soft, indices.tolist(), strict=True):
        block.index = index
        block.gates = None
        if differentiable and block.training:
            hard = torch.zeros_like(probabilities)
            hard[index] = 1
            block.gates = straight_through(hard, probabilities)
