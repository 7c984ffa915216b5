"""ONNX Runtime operators of our own in an exported graph, for ``torch.onnx.export``."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import torch
from onnxscript.values import Op, Opset

from mmhadaptive.ops.arguments import NORMS

from .onnxruntime_library import DOMAIN

OPSET = Opset(DOMAIN, 1)

_OPTIONAL = onnx.defs.OpSchema.FormalParameterOption.Optional


def _schema(name: str, doc: str, inputs: dict, attributes: dict) -> onnx.defs.OpSchema:
    """``inputs`` maps names to types, and those of optional inputs end in ``?``; ``attributes``
    maps names to types or defaults."""
    parameter = onnx.defs.OpSchema.FormalParameter
    return onnx.defs.OpSchema(
        name,
        OPSET.domain,
        OPSET.version,
        doc,
        inputs=[
            parameter(key.rstrip("?"), kind, param_option=_OPTIONAL)
            if key.endswith("?")
            else parameter(key, kind)
            for key, kind in inputs.items()
        ],
        outputs=[parameter("y", "tensor(float)")],
        attributes=[onnx.defs.OpSchema.Attribute(key, kind) for key, kind in attributes.items()],
    )


CROSS_HADAMARD = _schema(
    "CrossHadamard",
    "The channels of x and the normalised products of all pairs of those that index selects.",
    {
        "x": "tensor(float)",
        "index": "tensor(int64)",
        "gate?": "tensor(float)",
        "alpha?": "tensor(float)",
        "weight?": "tensor(float)",
        "bias?": "tensor(float)",
    },
    {"norm": onnx.helper.make_attribute("norm", NORMS[0])},
)


FUSED_BLOCKS = _schema(
    "FusedBlocks",
    "A chain of blocks for inference, described by numbers.",
    {"x": "tensor(float)", "packed": "tensor(float)"},
    {"spec": onnx.defs.OpSchema.AttrType.INTS},
)


def cross_hadamard(x, index, gate, alpha, weight, bias, norm=NORMS[0], strategy="auto"):
    """``mmhadaptive::cross_hadamard`` as one node. The strategy is one of GPUs."""
    op = Op(OPSET, CROSS_HADAMARD.name, CROSS_HADAMARD)
    return op(x, index, gate, alpha, weight, bias, norm=norm)


def fused_blocks(x, packed, spec):
    """``mmhadaptive::fused_blocks`` as one node."""
    return Op(OPSET, FUSED_BLOCKS.name, FUSED_BLOCKS)(x, packed, spec=spec)


def onnx_translation_table() -> dict[Callable, Callable]:
    """What ``torch.onnx.export`` takes as ``custom_translation_table``: mmhadaptive's PyTorch
    operators as nodes of their own, for :func:`~mmhadaptive.deploy.load_session`. They compute on
    float32."""
    return {
        torch.ops.mmhadaptive.cross_hadamard.default: cross_hadamard,
        torch.ops.mmhadaptive.fused_blocks.default: fused_blocks,
    }
