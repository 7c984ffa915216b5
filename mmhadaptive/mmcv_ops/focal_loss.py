"""Focal losses and their gradients, element by element, as mmcv's CUDA kernels compute them.

With p the probability of a class, the loss is -alpha (1 - p)^gamma log p where the class is the
label, and -(1 - alpha) p^gamma log(1 - p) where it is not; logarithms are of no less than the
smallest normal float. Each function writes its result into an argument. Half precision is
computed in float32.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

SMALLEST = torch.finfo(torch.float32).tiny
# Elements that are computed at once, which bounds the memory for intermediate results.
CHUNK = 1 << 22


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Losses of independent classes.

    Args:
        input: Logits, (n, classes).
        target: Labels, (n,); one outside of 0 ... classes - 1 is background.
        weight: A factor for each label, (classes,), or empty. Background has the factor 1.
        output: (n, classes).
        gamma: The exponent.
        alpha: The share of the labelled class.
    """
    for rows in chunks(input):
        p = upcast(input[rows]).sigmoid()
        q = 1 - p
        of_label = -alpha * q**gamma * p.clamp(min=SMALLEST).log()
        of_others = (alpha - 1) * p**gamma * q.clamp(min=SMALLEST).log()
        loss = torch.where(is_label(target[rows], p), of_label, of_others)
        output[rows] = loss * label_weights(target[rows], weight)[:, None]


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Derivatives of ``sigmoid_focal_loss_forward`` by the logits, into ``grad_input``."""
    for rows in chunks(input):
        p = upcast(input[rows]).sigmoid()
        q = 1 - p
        of_label = -alpha * q**gamma * (q - gamma * p * p.clamp(min=SMALLEST).log())
        of_others = (alpha - 1) * p**gamma * (gamma * q * q.clamp(min=SMALLEST).log() - p)
        gradient = torch.where(is_label(target[rows], p), of_label, of_others)
        grad_input[rows] = gradient * label_weights(target[rows], weight)[:, None]


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Losses of exclusive classes, of the labelled class only.

    Args:
        input: Probabilities after the softmax, (n, classes).
        target: Labels, (n,); the loss of a negative one is 0.
        weight: A factor for each label, (classes,), or empty.
        output: (n,).
        gamma: The exponent.
        alpha: A factor of all.
    """
    p = label_probabilities(input, target)
    loss = -alpha * (1 - p) ** gamma * p.clamp(min=SMALLEST).log()
    output.copy_(torch.where(target >= 0, loss * label_weights(target, weight), 0))


def softmax_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Derivatives of ``softmax_focal_loss_forward`` by the logits, into ``grad_input``.

    ``buff``, (n,), receives p times the derivatives by the labelled probability.
    """
    p = label_probabilities(input, target)
    log_p = p.clamp(min=SMALLEST).log()
    factors = alpha * (gamma * (1 - p) ** (gamma - 1) * p * log_p - (1 - p) ** gamma)
    buff.copy_(torch.where(target >= 0, factors * label_weights(target, weight), 0))
    for rows in chunks(input):
        p = upcast(input[rows])
        gradient = buff[rows, None] * (is_label(target[rows], p).to(p.dtype) - p)
        grad_input[rows] = torch.where(target[rows, None] >= 0, gradient, 0)


def chunks(tensor: Tensor) -> Iterator[slice]:
    """Slices of rows that have about ``CHUNK`` elements."""
    step = max(1, CHUNK // max(1, tensor.shape[1]))
    return (slice(start, start + step) for start in range(0, len(tensor), step))


def upcast(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.dtype == torch.float64 else tensor.float()


def is_label(target: Tensor, classes: Tensor) -> Tensor:
    """Whether a class is the label, (n, classes)."""
    return target[:, None] == torch.arange(classes.shape[1], device=target.device)


def label_probabilities(input: Tensor, target: Tensor) -> Tensor:
    """The probability of each label, (n,)."""
    return upcast(input).gather(1, target.clamp(min=0)[:, None])[:, 0]


def label_weights(target: Tensor, weight: Tensor) -> Tensor:
    """The factor of each label, (n,): 1 without weights, and outside of the classes."""
    if not weight.numel():
        return torch.ones(1, device=target.device).expand(len(target))
    inside = (target >= 0) & (target < len(weight))
    return torch.where(inside, upcast(weight)[target.clamp(0, len(weight) - 1)], 1)
