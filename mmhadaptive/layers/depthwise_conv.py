"""Depthwise convolution with the kernels of this package where they are the faster ones."""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmhadaptive.ops.depthwise_conv2d import DTYPES, MAX_KERNEL, MAX_STRIDE, depthwise_conv2d
from mmhadaptive.ops.library import DEVICES
from mmhadaptive.ops.reference import is_transformed


@MODELS.register_module()
class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d``, by :func:`mmhadaptive.ops.depthwise_conv2d` where that pays.

    That is in training on the CPU, in float32 and bfloat16, with a channel a group and a square
    kernel of 3 to 7 pixels. Anything else is ``nn.Conv2d`` itself: inference, other devices and
    shapes, and whatever takes a network apart, such as ``torch.compile``, ``torch.export``,
    ``torch.jit``, ``torch.fx``, ``torch.func`` and counters of operations. Arguments, attributes
    and the state dict are those of ``nn.Conv2d``. A ``ConvModule`` of mmcv has it by
    ``conv_cfg=dict(type='DepthwiseConv2d')``.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            if self._is_fast() and _is_plain(x, self.weight):
                return depthwise_conv2d(
                    x, self.weight, self.bias, self.stride[0], self.padding[0]
                )
        return self._conv_forward(x, self.weight, self.bias)
