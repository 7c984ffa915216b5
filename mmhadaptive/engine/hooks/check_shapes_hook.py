"""Refuse a neck, a head or anchors that were made for another backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor, nn

from mmhadaptive.io.user_errors import UserValueError

from ..unwrap import unwrap

# At this size a map of stride 128, the last of most pyramids, has two pixels a side.
SIZE = 256
# Of mmdet's one-stage and two-stage detectors, and of mmpretrain's classifiers.
HEADS = ("bbox_head", "rpn_head", "head")


def check_shapes(model: nn.Module, cfg: Mapping | None = None) -> None:
    """Raise unless neck, head and anchors fit the maps of the backbone.

    One black image passes through the backbone, the neck and the dense or the classifier's head. A
    part that fails does not fit if its ``in_channels`` are not the channels of the maps. Anchors,
    points and region extractors do not fit if their strides are not those of the maps. Where one
    image cannot tell, for instance because the backbone takes text as well, the model passes.

    Args:
        model: A detector of mmdet's or a classifier of mmpretrain's form, with or without the
            wrappers of the Runner; one without ``backbone`` passes.
        cfg: The model's config, where there is one: some parts do not keep their ``in_channels``.

    Raises:
        ValueError: A part does not fit. The message says what the backbone gives and what the part
            takes.
    """
    model = unwrap(model)
    parts = dict(model.named_children())
    if "backbone" not in parts:
        return
    head = next((name for name in HEADS if name in parts), None)
    priors = getattr(parts.get(head), "prior_generator", None)
    strides = _horizontal(getattr(priors, "strides", ()))
    size = int(max([SIZE, *strides]))
    # As many channels as the preprocessor normalises.
    channels = len(getattr(getattr(model, "data_preprocessor", None), "mean", "RGB"))
    image = next(model.parameters(), torch.empty(0)).new_zeros(1, channels, size, size)
    with _evaluation(model):
        maps = _maps(_run(parts["backbone"], image))
        if not maps:
            return
        found = f"backbone {_name(parts['backbone'])} gives {_describe(maps, size)}"
        if "neck" in parts:
            output = _run(parts["neck"], tuple(maps))
            if isinstance(output, Exception):
                return _check_channels("neck", parts["neck"], maps, found, cfg, output)
            inputs, maps = maps, _maps(output)
            if not maps or (maps[-1].dim() == 2 and maps[-1].shape[1] != inputs[-1].shape[1]):
                # The length of a vector that the neck flattened depends on the image's size.
                return
            found += f", neck {_name(parts['neck'])} makes of them {_describe(maps, size)}"
        _check_strides(parts, head, strides, maps, size, found)
        if head is not None:
            # A classifier's head takes the last map.
            maps = maps[-1:] if head == "head" else maps
            output = _run(parts[head], tuple(maps))
            if isinstance(output, Exception):
                _check_channels(head, parts[head], maps, found, cfg, output)


@HOOKS.register_module()
class CheckShapesHook(Hook):
    """Check that neck, head and anchors fit the backbone before a run; see :func:`check_shapes`."""

    def before_run(self, runner) -> None:
        check_shapes(runner.model, runner.cfg.get("model"))


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation without gradients; afterwards every module is in its own mode again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def _run(part: nn.Module, inputs: Tensor | tuple[Tensor, ...]):
    """What ``part`` makes of ``inputs``, or the error that it raises."""
    try:
        return part(inputs)
    except Exception as error:
        return error


def _maps(output) -> list[Tensor]:
    """The maps in a backbone's or a neck's output, none in an output of another form."""
    maps = [output] if isinstance(output, Tensor) else output
    if isinstance(maps, Sequence) and all(isinstance(m, Tensor) and m.dim() > 1 for m in maps):
        return list(maps)
    return []


def _check_channels(
    name: str,
    part: nn.Module,
    maps: list[Tensor],
    found: str,
    cfg: Mapping | None,
    error: Exception,
) -> None:
    """Raise if the ``in_channels`` of a part that failed are not those of the maps."""
    if isinstance(error, NotImplementedError):
        # An operator is missing, as in an mmcv without its own. That says nothing about channels.
        return
    first = part[0] if isinstance(part, nn.Sequential) else part
    part_cfg = (cfg or {}).get(name)
    takes = getattr(first, "in_channels", None)
    if takes is None and isinstance(part_cfg, Mapping):
        takes = part_cfg.get("in_channels")
    channels = [each.shape[1] for each in maps]
    if isinstance(takes, int):
        takes = [takes] * len(channels)
    if isinstance(takes, Sequence) and list(takes) != channels:
        raise UserValueError(
            f"{found}, but model.{name} {_name(part)} takes {_list(takes)} channels: set its "
            f"in_channels to {_list(channels)}, and what depends on them"
        ) from error


def _check_strides(
    parts: Mapping[str, nn.Module],
    head: str | None,
    strides: list[float],
    maps: list[Tensor],
    size: int,
    found: str,
) -> None:
    """Raise if priors or region extractors are for other strides than those of the maps."""
    if maps[0].dim() != 4:
        return
    actual = [size / each.shape[-1] for each in maps]
    if strides and not _agree(strides, actual):
        raise UserValueError(
            f"{found}, but the priors of model.{head} {_name(parts[head])} are for strides "
            f"{_list(strides)}: set model.backbone.out_indices, or the strides of the priors"
        )
    extractors = getattr(parts.get("roi_head"), "bbox_roi_extractor", None)
    for extractor in extractors if isinstance(extractors, nn.ModuleList) else [extractors]:
        strides = _horizontal(getattr(extractor, "featmap_strides", ()))
        # An extractor takes the first maps.
        if not _agree(strides, actual[: len(strides)]):
            raise UserValueError(
                f"{found}, but model.roi_head.bbox_roi_extractor {_name(extractor)} is for "
                f"strides {_list(strides)}: set model.backbone.out_indices, or its featmap_strides"
            )


def _agree(strides: Sequence[float], actual: Sequence[float]) -> bool:
    """Whether they are equal up to the rounding of small maps."""
    return len(strides) == len(actual) and all(
        0.7 < a / b < 1.4 for a, b in zip(actual, strides, strict=True)
    )


def _horizontal(strides: Sequence) -> list[float]:
    """Strides as numbers; a pair counts by its first."""
    return [stride[0] if isinstance(stride, Sequence) else stride for stride in strides]


def _name(part: nn.Module) -> str:
    return type(part[0] if isinstance(part, nn.Sequential) else part).__name__


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _describe(maps: list[Tensor], size: int) -> str:
    channels = f"{_list([each.shape[1] for each in maps])} channels"
    if maps[0].dim() != 4:
        return channels
    return f"{channels} at strides {_list([round(size / each.shape[-1], 1) for each in maps])}"
