"""A model's input of one picture, as a test makes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmhadaptive.io.images import read_image
from mmhadaptive.io.user_errors import UserError, blame_config

from .data_files import dataset_configs


class PictureInput(NamedTuple):
    """What :func:`picture_input` makes of a picture."""

    #: What the network takes, (1, 3, H, W).
    inputs: Tensor
    #: One data sample of mmdet or mmpretrain.
    data_samples: list[BaseDataElement]
    #: What the network sees, (h, w, 3), uint8, RGB; ``inputs`` has it at the upper left, and where
    #: it is larger a padding.
    picture: np.ndarray


def picture_input(cfg: Config, model: nn.Module, path: Path) -> PictureInput:
    """Make a model's input of a picture by the test pipeline of its config and its preprocessor.

    Args:
        cfg: The config, of mmdet's or mmpretrain's form.
        model: The model.
        path: The picture.

    Raises:
        UserError: The config has no test pipeline, the picture does not decode, or the model does
            not preprocess.
    """
    pipeline = _test_pipeline(cfg)
    preprocessor = getattr(model, "data_preprocessor", None)
    if not getattr(preprocessor, "_enable_normalize", None) and not hasattr(preprocessor, "to_rgb"):
        raise UserError(f"{cfg.filename}: the model is no detector or classifier of pictures")
    if not path.is_file():
        raise FileNotFoundError(f"no picture at {path}")
    try:
        image = read_image(path)
    except ValueError as error:
        raise UserError(str(error)) from error
    # Which of both is read depends on whether the pipeline loads.
    results = dict(img_path=str(path), img=image, img_id=0, instances=[])
    results |= dict(img_shape=image.shape[:2], ori_shape=image.shape[:2])
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), blame_config():
        data = model.data_preprocessor(pseudo_collate([Compose(pipeline)(results)]), False)
    inputs, samples = data["inputs"].float(), data["data_samples"]
    seen = inputs[0]
    if preprocessor._enable_normalize:
        seen = seen * preprocessor.std + preprocessor.mean
    swapped = any(getattr(preprocessor, name, 0) for name in ("_channel_conversion", "to_rgb"))
    seen = seen if swapped else seen.flip(0)
    height, width = samples[0].get("img_shape", seen.shape[1:])[:2]
    seen = seen[:, :height, :width].clamp(0, 255).round().to(torch.uint8)
    return PictureInput(inputs, samples, seen.permute(1, 2, 0).cpu().numpy())


def _test_pipeline(cfg: Config) -> list[dict]:
    """The steps of the test's pipeline, without labels."""
    tested = next(dataset_configs(cfg.get("test_dataloader")), {})
    if not tested.get("pipeline"):
        raise UserError(f"{cfg.filename} has no test_dataloader with a pipeline")
    names = [str(step["type"]).rpartition(".")[2] for step in tested["pipeline"]]
    return [
        step
        for name, step in zip(names, tested["pipeline"], strict=True)
        if name != "LoadAnnotations"
    ]
