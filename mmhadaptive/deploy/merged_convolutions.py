"""Convolutions that follow each other without an activation, as one, exactly.

The first two of Hadaptive-Net are such a pair: 2x2 with stride 2 twice, together 4x4 with stride 4;
so are the 3x3 of a Ghost expansion and the 2x2 with stride 2 of its depthwise convolution.
"""

from __future__ import annotations

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmhadaptive.models import HadaptiveNet

from .folding import set_weights


@torch.no_grad()
def merge_convolutions(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d | None:
    """The convolution that computes ``second(first(x))``.

    Both are without groups, or both depthwise, and the second pads nothing: at the edges of what
    the first one gives, zeros are not what the first one would give beyond them.

    Returns:
        It, or None where there is none, or it would multiply more.
    """
    depthwise = first.groups > 1
    for conv in (first, second):
        if conv.padding_mode != "zeros" or isinstance(conv.padding, str) or max(conv.dilation) > 1:
            return None
        if depthwise != (conv.groups > 1) or (
            depthwise and not conv.groups == conv.in_channels == conv.out_channels
        ):
            return None
    if any(second.padding):
        return None
    stride = [a * b for a, b in zip(first.stride, second.stride, strict=True)]
    # The second one's weights are an image, its pixels as far apart as the first one's steps.
    weight = nn.functional.conv_transpose2d(
        second.weight.double().transpose(0, 1) if depthwise else second.weight.double(),
        first.weight.double(),
        stride=first.stride,
        groups=first.groups,
    )
    weight = weight.transpose(0, 1) if depthwise else weight
    # Multiplications a pixel of the result.
    steps = second.stride[0] * second.stride[1]
    if weight.numel() > steps * first.weight.numel() + second.weight.numel():
        return None
    bias = None
    if first.bias is not None or second.bias is not None:
        bias = torch.zeros(len(weight), dtype=torch.float64, device=weight.device)
        if second.bias is not None:
            bias += second.bias
        if first.bias is not None:
            summed = second.weight.double().sum((2, 3))
            bias += summed[:, 0] * first.bias if depthwise else summed @ first.bias.double()
    merged = nn.Conv2d(
        first.in_channels,
        second.out_channels,
        weight.shape[2:],
        stride,
        first.padding,
        groups=first.groups,
        bias=bias is not None,
    )
    dtype = second.weight.dtype
    set_weights(merged, weight.to(dtype), None if bias is None else bias.to(dtype))
    return merged


def merge_stem(model: nn.Module) -> nn.Module:
    """Merge, in place, the first convolutions of each Hadaptive-Net in a model.

    Its normalisations are folded already. A backbone that returns its first stage stays as it is.
    """
    for module in model.modules():
        if not isinstance(module, HadaptiveNet) or 0 in module.out_indices:
            continue
        # A fused network has other modules there.
        if not all(isinstance(stage, nn.Sequential) for stage in module.stages[:2]):
            continue
        first, second = module.stages[0][-1], module.stages[1][0]
        if not all(isinstance(m, ConvModule) and not m.with_norm for m in (first, second)):
            continue
        if first.with_activation or first.with_explicit_padding or second.with_explicit_padding:
            continue
        merged = merge_convolutions(first.conv, second.conv)
        if merged is not None:
            module.stages[0][-1], second.conv = nn.Identity(), merged
    return model
