"""The parts that layers play in a block, and the weights that a new block keeps by them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def roles(path: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """The layers of a bottleneck or feed-forward by their part in it.

    ``project`` is the last dense layer of the path from input to output, ``depthwise`` the last
    depthwise convolution before it, and ``..._norm`` the batch normalisation right behind.
    """
    dense = [
        i
        for i, m in enumerate(path)
        if isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and m.groups == 1)
    ]
    if not dense:
        return {}
    places = {"project": dense[-1]}
    depthwise = [
        i
        for i, m in enumerate(path[: dense[-1]])
        if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1
    ]
    if depthwise:
        places["depthwise"] = depthwise[-1]
    found = {}
    for name, i in places.items():
        found[name] = path[i]
        if i + 1 < len(path) and isinstance(path[i + 1], _BatchNorm):
            found[f"{name}_norm"] = path[i + 1]
    return found


def hidden_channels(path: Sequence[nn.Module], out_channels: int) -> int | None:
    """The width of the layer before the projection, or of the output where nothing is expanded."""
    project = roles(path).get("project")
    if isinstance(project, nn.Conv2d):
        return project.in_channels
    if isinstance(project, nn.Linear):
        return max(project.in_features, out_channels)
    return None


@torch.no_grad()
def transfer(old: Sequence[nn.Module], new: Sequence[nn.Module]) -> list[tuple[nn.Module, str]]:
    """Copy the tensors of the same role and shape from the layers of one path to another's.

    A linear layer is a 1x1 convolution, so their weights pass for one another.

    Returns:
        The layers of ``new`` that took tensors, with the names of these in them.
    """
    old_roles, new_roles = roles(old), roles(new)
    copied = []
    for role in sorted(old_roles.keys() & new_roles.keys()):
        source, layer = old_roles[role], new_roles[role]
        if _kernel_size(source) != _kernel_size(layer):
            continue
        tensors = source.state_dict()
        for key, value in layer.state_dict().items():
            if value.dim() and key in tensors and tensors[key].shape[:2] == value.shape[:2]:
                value.copy_(tensors[key].reshape(value.shape))
                copied.append((layer, key))
    return copied


def _kernel_size(layer: nn.Module) -> tuple[int, int]:
    return getattr(layer, "kernel_size", (1, 1))
