"""The inferencers of OpenMMLab find the configs of this package by name, whatever their scope."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.fileio import load
from mmengine.infer import BaseInferencer

from mmhadaptive.io.published import FOLDER

_load_of_scope = BaseInferencer._load_model_from_metafile


def load_by_name(inferencer: BaseInferencer, model: str) -> tuple[Config, str | None]:
    """The config and the weights of a name in the model index of the inferencer's scope, or ours.

    Raises:
        ValueError: Neither has the name.
    """
    try:
        return _load_of_scope(inferencer, model)
    except ValueError as error:
        for path in load(FOLDER / "model-index.yml")["Import"]:
            for entry in load(FOLDER / path)["Models"]:
                if entry["Name"] == model.lower():
                    return Config.fromfile(FOLDER / entry["Config"]), entry["Weights"]
        raise ValueError(f"{error} and in mmhadaptive") from None
