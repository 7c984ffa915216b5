"""How undecided scores are, and how much of the choice the picture decides."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class SelectionEntropy:
    """The same as :func:`selection_entropy`, of pictures that come in batches."""

    def __init__(self) -> None:
        self._pictures = 0
        self._entropy = self._shares = 0

    def add(self, scores: Tensor) -> None:
        """Take in the logits of further pictures, ``(N, C)``."""
        p = scores.detach().float().softmax(1)
        self._pictures += len(p)
        self._entropy = self._entropy + torch.special.entr(p).sum()
        self._shares = self._shares + p.sum(0)

    def result(self) -> tuple[Tensor, Tensor]:
        """Entropy and information of all pictures so far, in bits."""
        entropy = self._entropy / self._pictures
        total = torch.special.entr(self._shares / self._pictures).sum()
        return entropy / math.log(2), (total - entropy).clamp_min(0) / math.log(2)


def selection_entropy(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Entropy of the first choice, and what of it the picture decides, in bits.

    The channel of rank 0 is drawn from ``p = softmax(scores)``, whatever the temperature: the
    maximum of ``scores + g`` with Gumbel noise ``g``. With ``H`` the entropy and means over the
    pictures, the first result is ``mean H(p)``, from 0 (the same draw every time) to ``log2 C``
    (noise alone decides). The second is ``H(mean p) - mean H(p)``, the mutual information of the
    picture and the channel: 0 where all pictures have the same ``p``, at most ``log2 N``.

    Args:
        scores: Logits without noise, ``(N, C)``.

    Returns:
        Two scalars on the device of ``scores``.
    """
    one = SelectionEntropy()
    one.add(scores)
    return one.result()
