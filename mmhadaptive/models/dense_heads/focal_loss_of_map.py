"""Sigmoid focal loss of a map of logits, nearly all of which are background, on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmdet.models.losses import FocalLoss
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# What is computed of so many logits stays in a core's cache.
BLOCK = 2**15
# Of default boxes: picture, number within the cell, row and column.
Places = tuple[Tensor, Tensor, Tensor, Tensor]


def can_take_map(loss: nn.Module) -> bool:
    """Whether :func:`focal_loss_of_map` computes this loss."""
    return type(loss) is FocalLoss and not loss.activated and loss.reduction == "mean"


def focal_loss_of_map(
    loss: FocalLoss,
    logits: Tensor,
    positive: Places,
    labels: Tensor,
    weight: float,
    ignored: Places,
    avg_factor: float,
) -> Tensor:
    r"""mmdet's ``FocalLoss`` without a tensor of targets.

    A logit x of background, with p its sigmoid, adds ``(1 - alpha) p^gamma log(1 + e^x)``. This and
    its derivative are computed in one pass over the map, block by block; the few default boxes with
    an object go through ``loss`` itself. Half precision is computed in float32.

    Args:
        loss: One with :func:`can_take_map`.
        logits: Of shape ``(N, boxes, classes, H, W)``, any dense strides.
        positive: The default boxes with an object.
        labels: Their classes.
        weight: Their weight.
        ignored: The default boxes that do not count.
        avg_factor: What the sum is divided by.

    Returns:
        The loss, a scalar; in float32 for half precision.
    """
    trained = torch.is_grad_enabled() and logits.requires_grad
    return _FocalLossOfMap.apply(
        logits, loss, positive, labels, weight, ignored, avg_factor, trained
    )


class _FocalLossOfMap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, loss, positive, labels, weight, ignored, avg_factor, trained):
        exact = torch.promote_types(logits.dtype, torch.float32)
        rows = _at(logits, positive).to(exact)
        # The buffer becomes the gradient. The logit -inf has neither a loss nor a gradient.
        buffer = logits.clone()
        _put(buffer, positive, -torch.inf)
        _put(buffer, ignored, -torch.inf)
        scale = (1 - loss.alpha) * loss.loss_weight / (avg_factor + torch.finfo(torch.float32).eps)
        flat = buffer.as_strided((buffer.numel(),), (1,))
        total = 0.0
        for block in flat.split(BLOCK):
            x = block.to(exact)
            p = x.sigmoid()
            costs = F.softplus(x)
            powers = p.pow(loss.gamma)
            total += (powers * costs).sum().item()
            if trained:
                block.copy_((1 - p).mul_(costs).mul_(loss.gamma).add_(p).mul_(powers).mul_(scale))
        total = rows.new_tensor(total * scale)
        if len(rows):
            with torch.set_grad_enabled(trained):
                weights = rows.new_full((len(rows),), weight)
                part = loss(rows.requires_grad_(trained), labels, weights, avg_factor=avg_factor)
            if trained:
                (gradient,) = torch.autograd.grad(part, rows)
                _put(buffer, positive, gradient.to(buffer.dtype))
            total += part.detach()
        ctx.save_for_backward(buffer)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, outer):
        (gradient,) = ctx.saved_tensors
        # Never the saved tensor itself: it may become the .grad of a leaf, to which more is added.
        return gradient * outer, *[None] * 7


def _at(logits: Tensor, places: Places) -> Tensor:
    """The logits of all classes, ``(n, classes)``."""
    image, box, y, x = places
    return logits[image, box, :, y, x]


def _put(logits: Tensor, places: Places, values: Tensor | float) -> None:
    image, box, y, x = places
    logits[image, box, :, y, x] = values
