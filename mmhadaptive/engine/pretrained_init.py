"""``init_cfg=dict(type='Pretrained')`` refuses a checkpoint from which nothing would be loaded.

mmengine only warns then, and trains from random weights.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Mapping

import torch
from mmengine.model import PretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.runner import CheckpointLoader, load_state_dict
from torch import nn

from mmhadaptive.io.user_errors import UserValueError


def _fits_by_prefix(module: nn.Module, state_dict: Mapping) -> Counter:
    """How many of a module's tensors a checkpoint holds, by what their names begin with there."""
    expected = {
        name: value.shape
        for name, value in module.state_dict().items()
        if isinstance(value, torch.Tensor)
    }
    fits = Counter()
    for name, value in state_dict.items():
        for start in re.finditer(r"^|(?<=\.)", name):
            rest = name[start.end() :]
            if rest in expected and expected[rest] == getattr(value, "shape", None):
                fits[name[: start.end()]] += 1
    return fits


def _refusal(init: PretrainedInit, module: nn.Module, state_dict: Mapping) -> str:
    message = f"{init.checkpoint}: no tensor fits {type(module).__name__} by name and shape"
    if init.prefix:
        message += f" with prefix='{init.prefix}'"
    expected = module.state_dict()
    for prefix, count in _fits_by_prefix(module, state_dict).most_common(1):
        how = f"with prefix='{prefix}'" if prefix else "without a prefix"
        return f"{message}; {how} {count} of {len(expected)} would"
    held, needed = (", ".join(list(names)[:3]) for names in (state_dict, expected))
    return f"{message}; it holds {held} ..., the model {needed} ..."


def load_pretrained(init: PretrainedInit, module: nn.Module) -> None:
    """What ``PretrainedInit`` does when it is called: read the checkpoint, check it, load it.

    Args:
        init: Holds ``checkpoint``, ``prefix`` and ``map_location``.
        module: The network to load into.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Nothing fits; the message names the file and the prefix with which most would.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(init.checkpoint, init.map_location)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"init_cfg of {type(module).__name__}: {error}") from error
    stored = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else {}
    state_dict = {str(name): value for name, value in stored.items()}
    # As in mmengine, DistributedDataParallel's prefix is dropped where none is given.
    prefix = re.escape(init.prefix.rstrip(".") + ".") if init.prefix else r"(module\.)?"
    chosen = OrderedDict(
        (re.sub(f"^{prefix}", "", name), value)
        for name, value in state_dict.items()
        if re.match(prefix, name)
    )
    if not init.prefix:
        chosen._metadata = getattr(stored, "_metadata", {})
    if not _fits_by_prefix(module, chosen)[""]:
        # Some models rename what they load, here in a copy.
        renamed = chosen.copy()
        module._load_from_state_dict(renamed, "", {}, True, [], [], [])
        if not _fits_by_prefix(module, renamed)[""]:
            raise UserValueError(_refusal(init, module, state_dict))
    load_state_dict(module, chosen, logger="current")
    if hasattr(module, "_params_init_info"):
        update_init_info(module, init_info=init._get_init_info())
