"""Refuse a checkpoint of another network instead of running with random weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import find_latest_checkpoint
from mmengine.runner.base_loop import BaseLoop
from torch import nn

from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.layers import AdaptiveCrossHadamard

from ..unwrap import unwrap


def check_state_dict(model: nn.Module, state_dict: Mapping, source: str, partial: bool) -> None:
    """Raise unless ``state_dict`` belongs to ``model``.

    Args:
        model: The network to load into.
        state_dict: The tensors of a checkpoint.
        source: The checkpoint's name for the message.
        partial: Whether it is enough that any tensor fits, as for fine-tuning.

    Raises:
        ValueError: The checkpoint does not fit; the message names the file and the first keys.
    """
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {
        re.sub(r"^module\.", "", name): tuple(value.shape) for name, value in state_dict.items()
    }
    for name, layer in model.named_modules():
        # What a layer of fixed channels takes out of a checkpoint if it is there.
        if isinstance(layer, AdaptiveCrossHadamard) and layer.selection == "fixed":
            channels = f"{name}.channels".removeprefix(".")
            expected.update({channels: (layer.num_selected,)} if channels in found else {})
    problems = [f"{name}: missing" for name in expected if name not in found]
    problems += [f"{name}: unexpected" for name in found if name not in expected]
    problems += [
        f"{name}: shape {found[name]}, the model has {expected[name]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    fitting = sum(found.get(name) == shape for name, shape in expected.items())
    if problems and not (partial and fitting):
        shown = "\n  ".join(problems[:5])
        raise UserValueError(
            f"{source} is a checkpoint of another network: {len(problems)} tensors differ, "
            f"{fitting} of {len(expected)} fit\n  {shown}\n  ..."
        )


@HOOKS.register_module()
class CheckCheckpointHook(Hook):
    """Check a checkpoint before mmengine loads it, which by itself only warns.

    A run that resumes, validates or tests needs every tensor; one that starts a training from
    ``load_from`` needs at least one that fits.
    """

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        source = runner._load_from or find_latest_checkpoint(runner.work_dir) or "the checkpoint"
        training = isinstance(runner._train_loop, BaseLoop)
        state_dict = checkpoint.get("state_dict", checkpoint)
        partial = training and not runner._resume
        check_state_dict(unwrap(runner.model), state_dict, source, partial)
