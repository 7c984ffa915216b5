"""Exported models run by ONNX Runtime: picture in, boxes or classes out.

It needs numpy, onnxruntime and OpenCV, and neither torch nor any of OpenMMLab's packages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import cv2
import numpy as np
import onnxruntime

from mmhadaptive.io.user_errors import UserError, UserValueError

from .onnxruntime_library import load_session

_INTERPOLATION = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


class OnnxRunner:
    """A classifier or a detector out of a file of :func:`~mmhadaptive.deploy.export_onnx`.

    Args:
        path: The file. A detector is to have the outputs ``nms``.
        providers: ONNX Runtime's execution providers.
        options: ONNX Runtime's ``SessionOptions``.

    Attributes:
        session: The ``InferenceSession``.
        description: What the file's metadata say, see :func:`~mmhadaptive.deploy.describe`.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is damaged, no ONNX file, or none of this package.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        options: onnxruntime.SessionOptions | None = None,
    ) -> None:
        self.session = load_session(path, providers, options)
        found = self.session.get_modelmeta().custom_metadata_map
        try:
            self.description = {key: json.loads(value) for key, value in found.items()}
            self.task, self.size = self.description["task"], tuple(self.description["size"])
            self.classes = self.description["classes"]
        except (KeyError, ValueError) as error:
            raise UserError(f"{path} was not exported by mmhadaptive with its metadata") from error
        names = [each.name for each in self.session.get_outputs()]
        if not {"images", "logits"} & set(names):
            raise UserError(
                f"{path} is a {self.task} with the outputs {', '.join(names)}: the runner needs a "
                "classifier, or a detector that was exported with the outputs nms"
            )
        batch = self.session.get_inputs()[0].shape[0]
        self.batch = batch if isinstance(batch, int) else None

    def __call__(
        self, pictures: Sequence[str | os.PathLike | np.ndarray], score_thr: float = 0.0
    ) -> list[dict]:
        """Predict, in batches of the size that was exported; all pictures at once if it is open.

        Args:
            pictures: Files, or arrays (H, W, 3) of uint8, BGR.
            score_thr: Lowest score of a detection.

        Returns:
            One dict a picture, with the keys of OpenMMLab's inferencers. Of a detector ``bboxes``
            (M, 4), x1, y1, x2, y2 in pixels of the picture, ``scores`` and ``labels`` (M,), the
            best first. Of a classifier ``pred_scores`` (classes,), ``pred_label``, ``pred_score``
            and, if the file has names of classes, ``pred_class``.
        """
        if isinstance(pictures, (str, os.PathLike, np.ndarray)):
            pictures = [pictures]
        arrays = [read_picture(each) for each in pictures]
        inputs = [self.preprocess(each) for each in arrays]
        step, results = self.batch or max(len(inputs), 1), []
        for start in range(0, len(inputs), step):
            batch = np.stack([each[0] for each in inputs[start : start + step]])
            count = len(batch)
            # A fixed batch is filled up.
            batch = np.concatenate([batch, np.zeros((step - count, *batch.shape[1:]), np.float32)])
            outputs = self.session.run(None, {"image": batch})
            if self.task == "classifier":
                results += [self._classified(logits) for logits in outputs[0][:count]]
                continue
            boxes, scores, labels, owners = outputs
            for i in range(count):
                mine = (owners == i) & (scores > score_thr)
                results.append(
                    dict(
                        bboxes=self._restored(boxes[mine], *inputs[start + i][1:]),
                        scores=scores[mine],
                        labels=labels[mine],
                    )
                )
        return results

    def preprocess(self, picture: np.ndarray) -> tuple[np.ndarray, tuple, tuple]:
        """Make the network's input of a picture, as the test pipeline and mmdet's or mmpretrain's
        data preprocessor do.

        Args:
            picture: (H, W, 3), uint8, BGR.

        Returns:
            The input (3, height, width), float32; by which factors its width and height were
            scaled; and the height and width of what the picture covers.
        """
        factors, about = (1.0, 1.0), self.description
        for step in about["transforms"]:
            picture, factors = _STEPS[step["type"]](picture, factors, step)
        covered = picture.shape[:2]
        x = picture[..., ::-1] if about["channels"] == "rgb" else picture
        x = x.astype(np.float32).transpose(2, 0, 1)
        mean, std = (np.float32(about[name])[:, None, None] for name in ("mean", "std"))
        x = (x - mean) / std
        below, right = self.size[0] - covered[0], self.size[1] - covered[1]
        if min(below, right) < 0:
            raise UserValueError(f"a picture becomes {covered}, the model takes {self.size}")
        x = np.pad(x, ((0, 0), (0, below), (0, right)), constant_values=about["pad_value"])
        return np.ascontiguousarray(x), factors, covered

    def _restored(self, boxes: np.ndarray, factors: tuple, covered: tuple) -> np.ndarray:
        """Boxes in pixels of the picture."""
        boxes = boxes.copy()
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, covered[1])
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, covered[0])
        return boxes * np.float32([1 / factors[0], 1 / factors[1]] * 2)

    def _classified(self, logits: np.ndarray) -> dict:
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        label = int(scores.argmax())
        found = dict(pred_scores=scores, pred_label=label, pred_score=float(scores[label]))
        return found | (dict(pred_class=self.classes[label]) if self.classes else {})


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
