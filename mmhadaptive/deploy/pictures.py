"""From a picture to the input of a network, as the test pipeline of its config does it.

It needs numpy and OpenCV alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import cv2
import numpy as np

from mmhadaptive.io.user_errors import UserValueError

_INTERPOLATION = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


def preprocess(picture: np.ndarray, description: Mapping) -> tuple[np.ndarray, tuple, tuple]:
    """Make the network's input of a picture, as the test pipeline and mmdet's or mmpretrain's data
    preprocessor do, to the pixel.

    Args:
        picture: (H, W, 3), uint8, BGR.
        description: What :func:`~mmhadaptive.deploy.describe` says of the model.

    Returns:
        The input (3, height, width), float32; by which factors its width and height were
        scaled; and the height and width of what the picture covers.

    Raises:
        UserValueError: The picture becomes larger than the input.
    """
    factors, size = (1.0, 1.0), description["size"]
    for step in description["transforms"]:
        picture, factors = _STEPS[step["type"]](picture, factors, step)
    covered = picture.shape[:2]
    below, right = size[0] - covered[0], size[1] - covered[1]
    if min(below, right) < 0:
        raise UserValueError(f"a picture becomes {covered}, but the model takes {tuple(size)}")
    x = picture[..., ::-1] if description["channels"] == "rgb" else picture
    mean, std = (np.float32(description[name]) for name in ("mean", "std"))
    x = ((x.astype(np.float32) - mean) / std).transpose(2, 0, 1)
    x = np.pad(x, ((0, 0), (0, below), (0, right)), constant_values=description["pad_value"])
    return np.ascontiguousarray(x), factors, covered


def read_picture(picture: str | os.PathLike | np.ndarray) -> np.ndarray:
    """Decode a picture to (H, W, 3), uint8, BGR; an array stays as it is.

    Raises:
        FileNotFoundError: There is no such file.
        UserValueError: It does not decode, or the array has another form.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise UserValueError(
                f"a picture must be (H, W, 3) of uint8, got {picture.shape} of {picture.dtype}"
            )
        return picture
    with open(picture, "rb") as file:
        content = np.frombuffer(file.read(), np.uint8)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if decoded is None:
        raise UserValueError(f"{picture} does not decode as an image")
    return decoded


def _to(picture: np.ndarray, factors: tuple, size: tuple, step: dict) -> tuple[np.ndarray, tuple]:
    height, width = picture.shape[:2]
    resized = cv2.resize(picture, size, interpolation=_INTERPOLATION[step["interpolation"]])
    return resized, (factors[0] * size[0] / width, factors[1] * size[1] / height)


def _resize(picture: np.ndarray, factors: tuple, step: dict) -> tuple[np.ndarray, tuple]:
    size = tuple(step["scale"])
    if step["keep_ratio"]:
        height, width = picture.shape[:2]
        long, short = max(size), min(size)
        factor = min(long / max(height, width), short / min(height, width))
        size = int(width * factor + 0.5), int(height * factor + 0.5)
    return _to(picture, factors, size, step)


def _resize_edge(picture: np.ndarray, factors: tuple, step: dict) -> tuple[np.ndarray, tuple]:
    height, width = picture.shape[:2]
    scale, edge = step["scale"], step["edge"]
    if (
        edge == "width"
        or (edge == "short" and width < height)
        or (edge == "long" and width > height)
    ):
        size = scale, int(scale * height / width)
    else:
        size = int(scale * width / height), scale
    return _to(picture, factors, size, step)


def _center_crop(picture: np.ndarray, factors: tuple, step: dict) -> tuple[np.ndarray, tuple]:
    height, width = picture.shape[:2]
    across, down = step["crop_size"]
    top, left = (max(0, round((a - b) / 2)) for a, b in ((height, down), (width, across)))
    return picture[top : top + down, left : left + across], factors


def _pad(picture: np.ndarray, factors: tuple, step: dict) -> tuple[np.ndarray, tuple]:
    width, height = step["size"]
    below, right = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
    value = step["value"] if isinstance(step["value"], (list, tuple)) else [step["value"]] * 3
    padded = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_CONSTANT, value=value)
    return padded, factors


_STEPS = dict(Resize=_resize, ResizeEdge=_resize_edge, CenterCrop=_center_crop, Pad=_pad)
