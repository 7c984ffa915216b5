"""Networks for inference: batch normalisations become part of the convolution before them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights


@torch.no_grad()
def fold_norms(model: nn.Module) -> nn.Module:
    """Put every batch normalisation of a ConvModule into its convolution, in place.

    Args:
        model: A network in evaluation mode.
    """
    from mmcv.cnn import ConvModule

    for module in model.modules():
        if isinstance(module, ConvModule) and module.with_norm:
            norm, conv = module.norm, module.conv
            if not isinstance(norm, _BatchNorm) or module.order[:2] != ("conv", "norm"):
                continue
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight,
                conv.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            setattr(module, module.norm_name, nn.Identity())
            module.with_norm = False
    return model
