"""What a runner has to know of a model, out of its config: :func:`describe`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mmengine.config import Config
from torch import nn

from mmhadaptive.io.user_errors import UserError

from .networks import task_of

# Transforms of test pipelines that change no pixel.
_NEUTRAL = (
    "InferencerLoader",
    "LoadAnnotations",
    "LoadImageFromFile",
    "PackDetInputs",
    "PackInputs",
)


def describe(cfg: Config, model: nn.Module, size: Sequence[int] | None = None) -> dict:
    """Describe a model's input and output.

    Args:
        cfg: The model's config, with ``test_dataloader``.
        model: The model, for its preprocessor and, if it has them, the classes of ``dataset_meta``.
        size: Height and width of the input if not those of the test pipeline: its resizing then
            goes to these.

    Returns:
        ``task``; ``size`` [height, width]; ``transforms``, the steps from the picture (BGR) to
        this size, each with ``type`` and what :class:`~mmhadaptive.deploy.OnnxRunner` reads
        of it; ``mean`` and ``std`` of the channels in their order ``channels``, ``bgr`` or
        ``rgb``; ``pad_value``, which a smaller picture is padded with on the right and below,
        after the normalisation; ``classes``; of a detector also ``score_thr`` and
        ``iou_thr``.

    Raises:
        UserError: The test pipeline has a transform that the runner can't do, or no size.
    """
    steps = [_step(dict(each)) for each in _pipeline(cfg)]
    steps = [step for step in steps if step]
    if size is not None:
        steps = _resized(steps, size)
    preprocessor = model.data_preprocessor if hasattr(model, "data_preprocessor") else None
    found = _size(steps) if size is None else list(size)
    description = dict(task=task_of(model), size=found, transforms=steps, **_norm(preprocessor))
    description["classes"] = _classes(cfg, model)
    if description["task"] == "detector":
        test = model.test_cfg
        description["score_thr"] = test.get("score_thr", 0)
        nms = test.get("nms") or {}
        description["iou_thr"] = nms.get("iou_threshold", nms.get("iou_thr"))
    return description


def to_properties(description: Mapping) -> dict[str, str]:
    """A description as the texts of an ONNX file's metadata."""
    return {key: json.dumps(value) for key, value in description.items()}


def _pipeline(cfg: Config) -> list:
    loader = cfg.get("test_dataloader") or cfg.get("val_dataloader")
    dataset = loader and loader.dataset
    while dataset and dataset.get("pipeline") is None and dataset.get("dataset"):
        dataset = dataset.dataset
    if not dataset or dataset.get("pipeline") is None:
        raise UserError(f"{cfg.filename} has no test_dataloader with a pipeline")
    return dataset.pipeline


def _step(transform: dict) -> dict | None:
    """What the runner does for a transform; None for nothing."""
    name = str(transform["type"]).rpartition(".")[2]
    if name in _NEUTRAL:
        return None
    if transform.get("backend", "cv2") != "cv2":
        raise UserError(
            f"{name} of the test pipeline has backend={transform['backend']!r}, not cv2"
        )
    interpolation = transform.get("interpolation", "bilinear")
    if name == "Resize" and "scale" in transform:
        scale = transform["scale"]
        scale = [scale, scale] if isinstance(scale, int) else list(scale)
        keep = bool(transform.get("keep_ratio", False))
        return dict(type=name, scale=scale, keep_ratio=keep, interpolation=interpolation)
    if name == "ResizeEdge":
        edge = transform.get("edge", "short")
        return dict(type=name, scale=transform["scale"], edge=edge, interpolation=interpolation)
    if name == "CenterCrop" and not transform.get("auto_pad"):
        crop = transform["crop_size"]
        return dict(type=name, crop_size=[crop, crop] if isinstance(crop, int) else list(crop))
    if (
        name == "Pad"
        and transform.get("size")
        and transform.get("padding_mode", "constant") == ("constant")
    ):
        value = transform.get("pad_val", 0)
        value = value.get("img", 0) if isinstance(value, Mapping) else value
        return dict(type=name, size=list(transform["size"]), value=value)
    raise UserError(
        f"{name} of the test pipeline has no counterpart in the runner, which can do Resize, "
        "ResizeEdge, CenterCrop and Pad to a fixed size"
    )


def _resized(steps: list[dict], size: Sequence[int]) -> list[dict]:
    height, width = size
    changed = []
    for step in steps:
        if step["type"] == "Resize":
            step = dict(step, scale=[width, height])
        elif step["type"] == "CenterCrop":
            step = dict(step, crop_size=[width, height])
        elif step["type"] == "Pad":
            step = dict(step, size=[width, height])
        changed.append(step)
    if not any(step["type"] != "ResizeEdge" for step in steps):
        resize = dict(type="Resize", keep_ratio=False, interpolation="bilinear")
        changed.append(dict(resize, scale=[width, height]))
    return changed


def _size(steps: list[dict]) -> list[int]:
    """Height and width of the last step."""
    last = steps[-1] if steps else {}
    wide = {"Resize": "scale", "CenterCrop": "crop_size", "Pad": "size"}.get(last.get("type"))
    if wide is None or last.get("keep_ratio"):
        raise UserError("the test pipeline ends with pictures of several sizes: give the size")
    width, height = last[wide]
    return [height, width]


def _norm(preprocessor: nn.Module | None) -> dict:
    def channels(name: str, neutral: float) -> list[float]:
        value = getattr(preprocessor, name, None)
        if value is None or not getattr(preprocessor, "_enable_normalize", True):
            return [neutral] * 3
        return [float(x) for x in value.flatten()]

    swapped = any(getattr(preprocessor, name, False) for name in ("_channel_conversion", "to_rgb"))
    return dict(
        mean=channels("mean", 0.0),
        std=channels("std", 1.0),
        channels="rgb" if swapped else "bgr",
        pad_value=float(getattr(preprocessor, "pad_value", 0) or 0),
    )


def _classes(cfg: Config, model: nn.Module) -> list[str] | None:
    meta = getattr(model, "dataset_meta", None) or getattr(model, "_dataset_meta", None) or {}
    classes = meta.get("classes") or (cfg.get("metainfo") or {}).get("classes")
    return None if classes is None else list(classes)
