"""The inferencers of OpenMMLab find the configs of this package by name, whatever their scope."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.infer import BaseInferencer

from mmhadaptive.io.model_index import FOLDER, models, weights_path

_load_of_scope = BaseInferencer._load_model_from_metafile


def load_by_name(inferencer: BaseInferencer, model: str) -> tuple[Config, str | None]:
    """The config and the weights of a name in the model index of the inferencer's scope, or ours.

    Raises:
        ValueError: Neither has the name.
    """
    try:
        return _load_of_scope(inferencer, model)
    except ValueError as error:
        for _, entry in models():
            if entry["Name"] == model.lower():
                return Config.fromfile(FOLDER / entry["Config"]), weights_path(entry)
        raise ValueError(f"{error} and in mmhadaptive") from None
