"""A depthwise convolution by the kernels of this package where these are the faster ones."""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmhadaptive.ops.depthwise_conv2d import (
    MAX_KERNEL,
    MAX_STRIDE,
    backward_is_faster,
    depthwise_conv2d,
    forward_is_faster,
)
from mmhadaptive.ops.library import DEVICES
from mmhadaptive.ops.reference import is_transformed

DTYPES = (torch.float32, torch.bfloat16)


@MODELS.register_module()
class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d``, by :func:`mmhadaptive.ops.depthwise_conv2d` where that takes less time.

    That is on the CPU, for float32 and bfloat16, where every channel has a square kernel of its own
    of 3 to 7 pixels; above all in training. Elsewhere it is ``nn.Conv2d`` itself, and so it is for
    whatever takes a network apart: ``torch.compile``, ``torch.export``, ``torch.jit``,
    ``torch.fx``, ``torch.func`` and counters of operations. Arguments, attributes, initialisation
    and state dict are those of ``nn.Conv2d``; a ``ConvModule`` of mmcv has it by
    ``conv_cfg=dict(type='DepthwiseConv2d')``.
    """

    def forward(self, x: Tensor) -> Tensor:
        # torch.jit.script leaves out what is in a condition of its own.
        if not torch.jit.is_scripting():  # noqa: SIM102
            if self._takes_less_time(x):
                return depthwise_conv2d(x, self.weight, self.bias, self.stride[0], self.padding[0])
        return self._conv_forward(x, self.weight, self.bias)

    def _takes_less_time(self, x: Tensor) -> bool:
        weight, bias = self.weight, self.bias
        if not (_is_plain(x) and self._is_supported(x, weight)):
            return False
        kernel, stride = self.kernel_size[0], self.stride[0]
        needs_grad = x.requires_grad or weight.requires_grad
        if torch.is_grad_enabled() and (needs_grad or (bias is not None and bias.requires_grad)):
            return backward_is_faster(x, kernel, stride)
        return forward_is_faster(x, kernel, stride)

    def _is_supported(self, x: Tensor, weight: Tensor) -> bool:
        kernel, padding = self.kernel_size[0], self.padding
        return (
            self.groups == self.in_channels == self.out_channels
            and self.kernel_size[1] == kernel <= MAX_KERNEL
            and self.stride[0] == self.stride[1] <= MAX_STRIDE
            and not isinstance(padding, str)
            and padding[0] == padding[1] < kernel
            and self.dilation == (1, 1)
            and self.padding_mode == "zeros"
            and x.is_cpu
            and weight.is_cpu
            and x.dim() == 4
            and x.shape[1] == self.in_channels
            and x.numel() > 0
            and min(x.shape[2:]) + 2 * padding[0] >= kernel
            and x.dtype in DTYPES
            and (x.dtype == weight.dtype or torch.is_autocast_enabled("cpu"))
        )


def _is_plain(x: Tensor) -> bool:
    """Whether the compiled operator is there and nothing looks on that knows convolutions alone."""
    return (
        "cpu" in DEVICES
        and type(x) in (Tensor, nn.Parameter)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not is_transformed()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
    )
