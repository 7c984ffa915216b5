"""Export of networks to ONNX."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from mmhadaptive.io.user_errors import UserError
from mmhadaptive.io.whole import write_file
from mmhadaptive.optional import needs

with needs("onnx and onnxscript", "pip install 'mmhadaptive[onnx]'", user="export to ONNX"):
    import onnx
    import onnxscript  # noqa: F401

from .fusion import fuse
from .lean import lean
from .metadata import to_properties
from .networks import OUTPUTS, DetectorBoxes, RawNetwork, task_of
from .nms_graph import append_nms
from .onnx_operators import onnx_translation_table

# What torch's exporter writes without conversion is 18; HardSwish is in all of them.
OPSET, OLDEST = 20, 18
FORMS = ("standard", "operator", "fused")


def export_onnx(
    model: nn.Module,
    path: str | os.PathLike,
    size: Sequence[int],
    batch: int | None = 1,
    outputs: str = "raw",
    opset: int = OPSET,
    metadata: Mapping | None = None,
    form: str = "standard",
) -> None:
    """Write a model as an ONNX file, by torch's current exporter.

    The input ``image`` is (batch, 3, height, width), float32, normalised. Outputs: of a classifier
    ``logits`` (batch, classes); of a backbone ``map_0`` and so on; of a detector

    ``raw``
        ``scores_0``, ... and ``boxes_0``, ...: the maps of the head, level by level;
    ``boxes``
        ``boxes`` (batch, P, 4), decoded, and ``scores`` (batch, P, classes);
    ``nms``
        ``boxes`` (M, 4), ``scores``, ``labels`` and ``images`` (M,): what mmdet predicts for the
        pictures of the batch together, by standard ``NonMaxSuppression``, the best first.

    Boxes are x1, y1, x2, y2 in pixels of the input.

    Args:
        model: mmpretrain's classifier, mmdet's single-stage detector, or a backbone. It is not
            changed.
        path: The file, which is written whole or not at all.
        size: Height and width of the input.
        batch: Number of pictures, or None for any number. At 1 the graph is the leanest.
        outputs: ``raw``, ``boxes`` or ``nms``.
        opset: Version of ONNX's operators, 18 or newer.
        metadata: Of the file: :func:`mmhadaptive.deploy.describe`.
        form: ``standard`` for ONNX's operators, which run anywhere; ``operator`` for
            cross-Hadamard products by ours; ``fused`` for chains of blocks by ours, as of
            :func:`~mmhadaptive.deploy.fuse`, and products beside them. Sessions for the latter two
            are made by :func:`~mmhadaptive.deploy.load_session`.

    Raises:
        UserError: The opset is too old or too new, there is no such form, or the model cannot have
            these outputs.
    """
    if form not in FORMS:
        raise UserError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    if outputs not in OUTPUTS:
        raise UserError(f"outputs must be one of {', '.join(OUTPUTS)}, got {outputs!r}")
    if opset < OLDEST:
        raise UserError(f"opset {opset} is too old: torch's exporter writes {OLDEST} and newer")
    network = build_network(model, size, outputs, form)
    x = torch.zeros(2 if batch is None else batch, 3, *size)
    with torch.no_grad(), warnings.catch_warnings():
        # Of torch's own use of itself.
        warnings.filterwarnings("ignore", category=FutureWarning)
        program = torch.onnx.export(
            network,
            (x,),
            input_names=["image"],
            output_names=network.names(network(x)),
            opset_version=opset,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},) if batch is None else None,
            custom_translation_table=None if form == "standard" else onnx_translation_table(),
            verbose=False,
        )
    proto = finished(program.model_proto, opset)
    if outputs == "nms" and task_of(model) == "detector":
        proto = append_nms(proto, model.test_cfg, single=batch == 1)
    for key, value in to_properties(metadata or {}).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    write_file(Path(path), proto.SerializeToString())


def build_network(
    model: nn.Module, size: Sequence[int], outputs: str, form: str = "standard"
) -> RawNetwork | DetectorBoxes:
    """A copy of the model in its leanest form, with these outputs (``nms``: as ``boxes``)."""
    model = copy.deepcopy(model).cpu().float().eval()
    model = lean(fuse(model) if form == "fused" else model, products=form == "standard")
    decoded = outputs != "raw" and task_of(model) == "detector"
    return (DetectorBoxes(model, size) if decoded else RawNetwork(model)).eval()


def finished(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The exporter's graph, checked, and with pooling by the operator for it."""
    written = next(each.version for each in proto.opset_import if each.domain == "")
    if written != opset:
        raise UserError(f"torch's exporter can't write opset {opset}; it wrote {written}")
    _pool(proto.graph)
    return proto


def _pool(graph: onnx.GraphProto) -> None:
    """Write means over height and width of maps as GlobalAveragePool, which ONNX Runtime has in the
    layout of its convolutions."""
    shapes = {each.name: len(each.type.tensor_type.shape.dim) for each in graph.value_info}
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type != "ReduceMean" or len(node.input) != 2 or node.input[1] not in constants:
            continue
        axes = onnx.numpy_helper.to_array(constants[node.input[1]]).tolist()
        kept = next((each.i for each in node.attribute if each.name == "keepdims"), 1)
        if kept and shapes.get(node.input[0]) == 4 and sorted(axis % 4 for axis in axes) == [2, 3]:
            pool = onnx.helper.make_node(
                "GlobalAveragePool", node.input[:1], node.output, name=node.name
            )
            node.CopyFrom(pool)
