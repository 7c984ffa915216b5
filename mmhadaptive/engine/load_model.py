"""A model out of a config and a checkpoint, and inputs for it, without a Runner."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.io.user_errors import UserError, UserValueError, blame_config

from .data_files import check_data_files
from .hooks import check_state_dict
from .loader_batches import build_loader, iterate


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model on the CPU, with the random weights of its constructor.

    Raises:
        UserError: The config has no model or does not fit together.
    """
    if not cfg.get("model"):
        raise UserError(f"{cfg.filename} has no model")
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), blame_config():
        config = dict(cfg.model)
        if "data_preprocessor" not in config and cfg.get("data_preprocessor"):
            config["data_preprocessor"] = dict(cfg.data_preprocessor)
        return MODELS.build(config)


def load_model(cfg: Config, checkpoint: str, untrained: bool = False) -> nn.Module:
    """Build a config's model on the CPU, in evaluation mode, with the weights of a checkpoint.

    Its ``dataset_meta`` is the checkpoint's, if that has one.

    Args:
        cfg: The config.
        checkpoint: A local file.
        untrained: Whether weights are welcome that nothing has trained.

    Raises:
        UserError: The config has no model or does not fit together; the checkpoint is of another
            network; or its batch normalisations have seen no batch.
    """
    model = build_model(cfg)
    content = load_checkpoint_file(checkpoint, map_location="cpu")
    state_dict = content.get("state_dict", content)
    check_state_dict(model, state_dict, checkpoint, partial=False)
    state_dict = {name.removeprefix("module."): value for name, value in state_dict.items()}
    model.load_state_dict(state_dict)
    if not untrained and _is_untrained(model):
        raise UserError(
            f"{checkpoint} holds weights that nothing has trained: its batch normalisations have "
            "the statistics they start with"
        )
    meta = (content.get("meta") or {}).get("dataset_meta")
    if meta:
        model.dataset_meta = meta
    return model.eval()


def _is_untrained(model: nn.Module) -> bool:
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    return bool(norms) and all(
        not norm.running_mean.any() and bool((norm.running_var == 1).all()) for norm in norms
    )


def inputs_of_test_set(cfg: Config, model: nn.Module, count: int, size: list[int]) -> Tensor:
    """What the model's data preprocessor makes of the first pictures of the config's test set.

    Args:
        cfg: The config.
        model: The model.
        count: Number of pictures.
        size: Height and width; smaller ones are padded with zeros on the right and below.

    Returns:
        (count, 3, height, width), or fewer where the set is smaller.

    Raises:
        UserError: The files are not there.
        UserValueError: A picture becomes larger.
    """
    check_data_files(cfg, ("test",))
    found: list[Tensor] = []
    for batch in iterate(cfg, build_loader(cfg, "test", 1, seed=0), seed=0):
        x = model.data_preprocessor(batch, False)["inputs"]
        below, right = size[0] - x.shape[2], size[1] - x.shape[3]
        if min(below, right) < 0:
            raise UserValueError(f"a picture becomes {tuple(x.shape[2:])}, the input is {size}")
        found.append(F.pad(x, (0, right, 0, below)))
        if len(found) == count:
            break
    return torch.cat(found)
