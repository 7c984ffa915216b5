"""Another count of MACs, to compare with."""

import torch
from torch import nn

from mmhadaptive.layers import AdaptiveCrossHadamard


def count_by_hooks(modules, compute):
    """MACs of ``compute()``: convolutions, linear layers, one for each product."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, AdaptiveCrossHadamard):
            total += (module.out_channels - module.in_channels) * output[0, 0].numel()
        else:
            total += output.numel() * module.weight[0].numel()

    counted = nn.Conv1d | nn.Conv2d | nn.Linear | AdaptiveCrossHadamard
    handles = [m.register_forward_hook(count) for m in modules.modules() if isinstance(m, counted)]
    with torch.no_grad():
        compute()
    for handle in handles:
        handle.remove()
    return total
