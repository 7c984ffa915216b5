"""The operator in ONNX: a decomposition for the exporter of ``dynamo=True``, which turns PyTorch
operations into ONNX's, and a translation for the exporter that traces."""

from __future__ import annotations

import torch
from torch.onnx import JitScalarType, register_custom_op_symbolic, symbolic_helper
from torch.onnx._internal.exporter import _decomp
from torch.onnx.errors import SymbolicValueError

from .arguments import num_products
from .dispatch import FORWARD
from .reference import cross_hadamard_reference, product_pairs

# The first one with GatherElements.
OPSET = 11


@symbolic_helper.parse_args(*"vvvvvvss")
def translate(g, x, index, gate, alpha, weight, bias, norm, strategy):
    """:func:`~mmhadaptive.ops.reference.composition` in ONNX's operators."""
    selected = symbolic_helper._get_tensor_dim_size(index, 1)
    if selected is None:
        raise SymbolicValueError("the number of selected channels is not fixed", index)
    types = {name: JitScalarType.from_value(t) for name, t in (("x", x), ("gate", gate))}

    def constant(value, dtype=torch.int64):
        return g.op("Constant", value_t=torch.as_tensor(value, dtype=dtype))

    def cast(t, name):
        if types["x"] == types["gate"]:
            return t
        return g.op("Cast", t, to_i=types[name].onnx_type())

    # A zero copies the size that is there.
    gates, positions = (g.op("Reshape", t, constant([0, -1, 1, 1])) for t in (gate, index))
    pixels = g.op("Slice", g.op("Shape", x), constant([2]), constant([4]))
    shape = g.op("Concat", g.op("Shape", index), pixels, axis_i=0)
    chosen = g.op("GatherElements", x, g.op("Expand", positions, shape), axis_i=1)
    z = g.op("Mul", gates, cast(chosen, "gate"))
    first, second = (
        g.op("Gather", z, constant(numbers), axis_i=1)
        for numbers in product_pairs(selected, torch.device("cpu"))
    )
    y = g.op("Mul", first, second)
    if norm != "none":
        y = g.op("Mul", alpha, y)
        if norm == "softsign":
            y = g.op("Softsign", y)
        elif norm == "sigmoid":
            y = g.op("Sub", g.op("Sigmoid", y), constant(0.5, types["gate"].dtype()))
        else:
            one = constant(1, types["gate"].dtype())
            y = g.op("Div", y, g.op("Sqrt", g.op("Add", g.op("Mul", y, y), one)))
        weights, biases = (g.op("Reshape", t, constant([-1, 1, 1])) for t in (weight, bias))
        y = g.op("Add", g.op("Mul", weights, y), biases)
    batch, channels, height, width = symbolic_helper._get_tensor_sizes(x)
    sizes = [batch, channels and channels + num_products(selected), height, width]
    return g.op("Concat", x, cast(y, "x"), axis_i=1).setType(x.type().with_sizes(sizes))


def register() -> None:
    """Tell both exporters of the operator."""
    register_custom_op_symbolic(FORWARD, translate, OPSET)
    table_of = _decomp.create_onnx_friendly_decomposition_table

    # In the table of this exporter alone: where CI is set, TorchInductor takes it for a mistake if
    # torch's own has an operator that inductor does not decompose.
    def table_with_operator(registered):
        operator = torch.ops.mmhadaptive.cross_hadamard.default
        # A user's custom_translation_table may have it.
        if operator in registered:
            return table_of(registered)
        return {**table_of(registered), operator: cross_hadamard_reference}

    _decomp.create_onnx_friendly_decomposition_table = table_with_operator


register()
