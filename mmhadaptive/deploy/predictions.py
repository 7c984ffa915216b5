"""A model of mmdet or mmpretrain that predicts by an exported file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from mmhadaptive.io.user_errors import UserError


@contextmanager
def predicting_by(session, model: nn.Module, size: Sequence[int]) -> Iterator[None]:
    """Within, the network of ``model`` is that of an ONNX Runtime session.

    Preprocessing, decoding, NMS and what else ``model.test_step`` does are the model's own, so that
    a test of the Runner scores the file.

    Args:
        session: Of a file that :func:`~mmhadaptive.deploy.export_onnx` wrote of this model with the
            outputs ``raw``.
        model: mmpretrain's classifier or mmdet's single-stage detector.
        size: Height and width of the input.

    Raises:
        UserError: The file has other outputs than the model.
    """
    head = getattr(model, "bbox_head", None) or model.head
    name, batch = session.get_inputs()[0].name, session.get_inputs()[0].shape[0]
    with torch.no_grad():
        x = torch.zeros(1, 3, *size, device=next(model.parameters()).device)
        structure = _pytree.tree_structure(model.eval()(x, mode="tensor"))
    if structure.num_leaves != len(session.get_outputs()):
        raise UserError(
            f"the file has {len(session.get_outputs())} outputs, the model "
            f"{structure.num_leaves}: it is to be exported with the outputs raw"
        )

    def run(x: Tensor):
        step = batch if isinstance(batch, int) else len(x)
        parts = []
        for start in range(0, len(x), step):
            part = x[start : start + step].cpu().numpy()
            missing = step - len(part)
            # A fixed batch is filled up.
            filled = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            outputs = session.run(None, {name: filled})
            parts.append([output[: len(part)] for output in outputs])
        outputs = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return _pytree.tree_unflatten([torch.from_numpy(y).to(x) for y in outputs], structure)

    model.extract_feat = lambda inputs, *args, **kwargs: inputs
    head.forward = run
    try:
        yield
    finally:
        del model.extract_feat, head.forward
