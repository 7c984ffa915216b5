"""A model of mmdet or mmpretrain that predicts by an exported file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.utils import _pytree

from mmhadaptive.io.user_errors import UserError


@contextmanager
def predicting_by(session, model: nn.Module, size: Sequence[int]) -> Iterator[None]:
    """Within, the network of ``model`` is that of an ONNX Runtime session.

    Preprocessing and what else ``model.test_step`` does are the model's own, so that a test of the
    Runner scores the file.

    Args:
        session: Of a file that :func:`~mmhadaptive.deploy.export_onnx` wrote of this model; of a
            detector with the outputs ``raw`` or ``nms``.
        model: mmpretrain's classifier or mmdet's single-stage detector.
        size: Height and width of the input.

    Raises:
        UserError: The file has other outputs than these.
    """
    head = getattr(model, "bbox_head", None) or model.head
    names = [output.name for output in session.get_outputs()]
    detections = "images" in names
    if not detections:
        x = torch.zeros(1, 3, *size, device=next(model.parameters()).device)
        with torch.no_grad():
            structure = _pytree.tree_structure(model.eval()(x, mode="tensor"))
        if structure.num_leaves != len(names):
            raise UserError(
                f"the file has the outputs {', '.join(names)}, the model {structure.num_leaves}: "
                "it is to be exported with the outputs raw or nms"
            )

    def forward(x: Tensor):
        outputs = zip(*_run(session, x), strict=True)
        joined = [torch.cat(y)[: len(x)].to(x) for y in outputs]
        return _pytree.tree_unflatten(joined, structure)

    def predict(x: Tensor, samples: Sequence, rescale: bool = True) -> list[InstanceData]:
        results = []
        for boxes, scores, labels, owners in _run(session, x):
            results += [
                InstanceData(bboxes=boxes[mine], scores=scores[mine], labels=labels[mine])
                for mine in (owners == i for i in range(_batch(session) or len(x)))
            ]
        results = results[: len(x)]
        for result, sample in zip(results, samples, strict=True):
            height, width = sample.img_shape[:2]
            result.bboxes[:, 0::2].clamp_(0, width)
            result.bboxes[:, 1::2].clamp_(0, height)
            if rescale:
                result.bboxes /= result.bboxes.new_tensor(sample.scale_factor).repeat(2)
        return results

    model.extract_feat = lambda inputs, *args, **kwargs: inputs
    replaced = dict(predict=predict) if detections else dict(forward=forward)
    vars(head).update(replaced)
    try:
        yield
    finally:
        del model.extract_feat
        for name in replaced:
            delattr(head, name)


def _batch(session) -> int | None:
    size = session.get_inputs()[0].shape[0]
    return size if isinstance(size, int) else None


def _run(session, x: Tensor) -> list[list[Tensor]]:
    """The outputs, batch by batch of the session's size; the last one is filled up."""
    name, step, found = session.get_inputs()[0].name, _batch(session) or len(x), []
    for start in range(0, len(x), step):
        part = x[start : start + step].cpu().numpy()
        missing = step - len(part)
        filled = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
        found.append([torch.from_numpy(y) for y in session.run(None, {name: filled})])
    return found
