"""Exported models run by ONNX Runtime: picture in, boxes or classes out.

It needs numpy, onnxruntime and OpenCV, and neither torch nor any of OpenMMLab's packages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import numpy as np
import onnxruntime

from mmhadaptive.io.user_errors import UserError

from .onnxruntime_library import load_session
from .pictures import preprocess, read_picture


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
        inputs = [preprocess(each, self.description) for each in arrays]
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
