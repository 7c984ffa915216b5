"""How undecided scores are, and how much of the choice the picture decides."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
    p = scores.detach().float().softmax(1)
    entropy = torch.special.entr(p).sum(1).mean()
    total = torch.special.entr(p.mean(0)).sum()
    return entropy / math.log(2), (total - entropy).clamp_min(0) / math.log(2)
