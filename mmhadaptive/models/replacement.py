"""Replacement of named blocks of a network by cross-Hadamard bottlenecks."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmhadaptive.engine.complexity import complexity

# Blocks of MobileNetV3-S in Table 2, the last also in Table 5, by the names of mmpretrain.
PRESETS = {
    "mobilenetv3_small_0": ("layer1",),
    "mobilenetv3_small_1": ("layer2",),
    "mobilenetv3_small_8": ("layer9",),
    "mobilenetv3_small_9": ("layer10",),
    "mobilenetv3_small_10": ("layer11",),
    "mobilenetv3_small_9_10": ("layer10", "layer11"),
}


@dataclass
class Replacement:
    """What :func:`replace_blocks` did to one block.

    Attributes:
        target: Name of the block.
        in_channels, out_channels, stride: Of the old block and of the new one.
        num_selected: Number of channels that the new block chooses.
        transferred: Names of the new block's tensors that were taken over from the old one.
    """

    target: str
    in_channels: int
    out_channels: int
    stride: int
    num_selected: int
    transferred: list[str]


def replace_blocks(
    model: nn.Module, replace: Sequence[dict] | str, input_shape: tuple[int, ...] = (3, 224, 224)
) -> list[Replacement]:
    """Replace blocks of ``model``, in place, by cross-Hadamard bottlenecks.

    >>> replace_blocks(model, [dict(target='layer11', with_=dict(type='ACHBottleneck'))])

    Each new block has the widths and the stride of the old one, which are taken from a forward pass
    of zeros. Where ``with_`` does not say, it also has the old block's depthwise kernel size, and
    ``num_selected`` for the old one's hidden width. Depthwise and projection weights, with their
    normalisations, are taken over where their shapes agree.

    Args:
        model: A network for images.
        replace: Dicts of ``target``, the name of a block as in ``model.named_modules()``, and
            ``with_``, the config of the new block; or the name of one of ``PRESETS``.
        input_shape: Shape of an image, for the forward pass.

    Raises:
        ValueError: A target does not exist (the message lists names that do), is no block from one
            feature map to another, or ``with_`` contradicts its widths or stride.
    """
    if isinstance(replace, str):
        if replace not in PRESETS:
            raise ValueError(f"preset must be one of {list(PRESETS)}, got {replace!r}")
        replace = [dict(target=name, with_=dict(type="ACHBottleneck")) for name in PRESETS[replace]]
    modules = dict(model.named_modules())
    for entry in replace:
        if not entry["target"] or entry["target"] not in modules:
            raise ValueError(_unknown(entry["target"], modules))
    shapes = _trace_shapes(model, [entry["target"] for entry in replace], input_shape)
    reports = []
    for entry in replace:
        target = entry["target"]
        old = modules[target]
        new, num_selected = _build(target, old, dict(entry["with_"]), *shapes[target])
        transferred = _transfer(old, new)
        parent, _, name = target.rpartition(".")
        parameter = next(old.parameters(), None)
        if parameter is not None:
            new.to(parameter.device, parameter.dtype)
        new.train(old.training)
        setattr(model.get_submodule(parent), name, new)
        reports.append(
            Replacement(
                target, new.in_channels, new.out_channels, new.stride, num_selected, transferred
            )
        )
    return reports


def _unknown(target: str, modules: dict[str, nn.Module]) -> str:
    names = [name for name in modules if name and name.count(".") <= max(target.count("."), 1)]
    close = difflib.get_close_matches(target, names, 20, 0.4)
    return f"there is no block {target!r}; these exist: {', '.join(close or names[:50])}"


def _trace_shapes(
    model: nn.Module, targets: Sequence[str], input_shape: tuple[int, ...]
) -> dict[str, tuple[torch.Size, torch.Size]]:
    shapes = {}

    def record(name):
        def hook(module, inputs, output):
            tensors = [*inputs[:1], output]
            if len(tensors) != 2 or not all(torch.is_tensor(t) and t.dim() == 4 for t in tensors):
                raise ValueError(f"{name} is no block from one feature map to another")
            shapes[name] = inputs[0].shape, output.shape

        return hook

    handles = [model.get_submodule(t).register_forward_hook(record(t)) for t in targets]
    training = {module: module.training for module in model.modules()}
    parameter = next(model.parameters())
    # Some of mmpretrain's networks return None here.
    model.eval()
    try:
        with torch.no_grad():
            model(parameter.new_zeros(1, *input_shape))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    missing = [target for target in targets if target not in shapes]
    if missing:
        raise ValueError(f"{missing} did not run in a forward pass of {input_shape}")
    return shapes


def _build(
    target: str, old: nn.Module, cfg: dict, before: torch.Size, after: torch.Size
) -> tuple[nn.Module, int]:
    found = dict(in_channels=before[1], out_channels=after[1], stride=-(-before[2] // after[2]))
    for key, value in found.items():
        if cfg.setdefault(key, value) != value:
            raise ValueError(f"{target} has {key}={value}, but the new block has {key}={cfg[key]}")
    convolutions = [module for module in old.modules() if isinstance(module, nn.Conv2d)]
    depthwise = [conv for conv in convolutions if conv.groups == conv.in_channels > 1]
    if depthwise:
        cfg.setdefault("kernel_size", depthwise[-1].kernel_size[0])
    if cfg.get("num_selected") is None and convolutions:
        cfg.setdefault("hidden_channels", max(conv.out_channels for conv in convolutions))
    new = MODELS.build(cfg)
    new.in_channels, new.out_channels, new.stride = found.values()
    return new, new.expand.num_selected


def _transfer(old: nn.Module, new: nn.Module) -> list[str]:
    """Copy the depthwise and the projection weights whose shapes agree; their new names."""
    layers = [m for m in old.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))]
    pairs = [
        (conv, norm)
        for conv, norm in pairwise(layers)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]
    sources = {
        "depthwise": [p for p in pairs if p[0].groups == p[0].in_channels > 1],
        "project": [p for p in pairs if p[0].groups == 1],
    }
    names = []
    for part, candidates in sources.items():
        if not candidates:
            continue
        module = getattr(new, part)
        for name, source in zip(("conv", "bn"), candidates[-1], strict=True):
            layer = getattr(module, name)
            state = layer.state_dict()
            theirs = source.state_dict()
            if all(key in theirs and theirs[key].shape == state[key].shape for key in state):
                layer.load_state_dict({key: theirs[key] for key in state})
                names += [f"{part}.{name}.{key}" for key in state]
    return names


@MODELS.register_module()
class ReplacedBackbone(BaseModule):
    """A backbone of any registry, with blocks replaced: the config key for :func:`replace_blocks`.

    >>> backbone = dict(type='ReplacedBackbone',
    ...                 backbone=dict(type='mmpretrain.MobileNetV3', arch='small'),
    ...                 replace=[dict(target='layer11', with_=dict(type='ACHBottleneck'))])

    Parameters and MACs before and after go to the log.

    Args:
        backbone: Config of the network.
        replace: See :func:`replace_blocks`.
        input_shape: Shape of an image, for widths and counts.
        init_cfg: Initialization of the weights.
    """

    def __init__(
        self,
        backbone: dict,
        replace: Sequence[dict] | str,
        input_shape: tuple[int, ...] = (3, 224, 224),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        self.backbone.eval()
        before = complexity(self.backbone, input_shape)
        self.replacements = replace_blocks(self.backbone, replace, input_shape)
        after = complexity(self.backbone, input_shape)
        self.train()
        counts = ", ".join(f"{key} {before[key]:,} -> {after[key]:,}" for key in before)
        print_log(f"{[r.target for r in self.replacements]} replaced: {counts}", "current")

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.backbone(x)
