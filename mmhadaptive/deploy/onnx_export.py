"""Export of networks to ONNX."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mmhadaptive.io.whole import write_file

from .lean import lean

OPSET = 20


class _Network(nn.Module):
    """What a model computes of a tensor, without the data preprocessor and the predictions."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.whole = hasattr(model, "data_preprocessor")

    def forward(self, x: Tensor) -> list[Tensor]:
        y = self.model(x, mode="tensor") if self.whole else self.model(x)
        return _flat(y)


def _flat(y) -> list[Tensor]:
    return [y] if isinstance(y, Tensor) else [t for part in y for t in _flat(part)]


def export_onnx(
    model: nn.Module,
    path: str | os.PathLike,
    size: Sequence[int],
    batch: int | None = 1,
    opset: int = OPSET,
    custom_translation_table: dict[Callable, Callable] | None = None,
) -> None:
    """Write a model as an ONNX file.

    Args:
        model: mmpretrain's classifier, mmdet's detector, or a backbone. It is not changed.
        path: The file.
        size: Height and width of the input.
        batch: Number of pictures, or None for any number.
        opset: Version of ONNX's operators.
        custom_translation_table: As in ``torch.onnx.export``. An operator that is in it is not
            taken apart.
    """
    operator = torch.ops.mmhadaptive.cross_hadamard.default
    products = operator not in (custom_translation_table or {})
    network = _Network(lean(copy.deepcopy(model).cpu().float().eval(), products)).eval()
    x = torch.zeros(2 if batch is None else batch, 3, *size)
    shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
    with torch.no_grad():
        program = torch.onnx.export(
            network,
            (x,),
            input_names=["image"],
            opset_version=opset,
            dynamo=True,
            dynamic_shapes=shapes,
            custom_translation_table=custom_translation_table,
            verbose=False,
        )
    write_file(Path(path), program.model_proto.SerializeToString())
