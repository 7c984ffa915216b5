"""Export of networks by torch.export, to run in PyTorch without this package."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from mmhadaptive.io.user_errors import UserError
from mmhadaptive.io.whole import write_file

from .metadata import to_properties
from .onnx_export import build_network


def export_pt2(
    model: nn.Module,
    path: str | os.PathLike,
    size: Sequence[int],
    batch: int | None = 1,
    outputs: str = "raw",
    metadata: Mapping | None = None,
    compiled: bool = False,
) -> None:
    """Write a model as a ``.pt2`` file of PyTorch's own operations.

    Input and outputs are those of :func:`export_onnx`.

    Args:
        model: As there; it is not changed.
        path: The file, which is written whole or not at all.
        size: Height and width of the input.
        batch: Number of pictures, or None for any number.
        outputs: ``raw`` or ``boxes``.
        metadata: Extra files of a program, see :func:`mmhadaptive.deploy.describe`.
        compiled: Whether to compile it by AOTInductor for the CPU of this machine
            (``torch._inductor.aoti_load_package`` loads it) instead of writing the program
            (``torch.export.load``). It needs a C++ compiler.

    Raises:
        UserError: The model cannot have these outputs.
    """
    if outputs == "nms":
        raise UserError("a .pt2 ends before the suppression: its outputs are raw or boxes")
    network = build_network(model, size, outputs)
    x = torch.zeros(2 if batch is None else batch, 3, *size)
    shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # Of torch's own use of itself.
        warnings.filterwarnings("ignore", category=FutureWarning)
        program = torch.export.export(network, (x,), dynamic_shapes=shapes)
        if compiled:
            torch._inductor.aoti_compile_and_package(program, package_path=buffer)
        else:
            torch.export.save(program, buffer, extra_files=to_properties(metadata or {}))
    write_file(Path(path), buffer.getvalue())
