"""Networks in 8 bits, by ONNX Runtime's own tools."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmhadaptive.io.user_errors import UserError, UserValueError
from mmhadaptive.io.whole import write_file
from mmhadaptive.optional import needs

with needs("onnx and onnxruntime", "pip install 'mmhadaptive[onnx]'", user="quantisation"):
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        create_calibrator,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

# What computes with weights in 8 bits; these take the place of most of the time.
WEIGHTED = ("Conv", "Gemm")
# The part of the values of a tensor that its range holds, in per cent.
PERCENTILE = 99.99
# Pictures whose tensors are in memory at once.
CHUNK = 8
# What can stay in 8 bits between them.
BETWEEN = ("Add", "Concat", "Resize", "MaxPool")


class _Reader(CalibrationDataReader):
    """The pictures as ONNX Runtime's tools ask for them."""

    def __init__(self, name: str, pictures: list[np.ndarray]) -> None:
        self.inputs = iter([{name: picture} for picture in pictures])

    def get_next(self) -> dict | None:
        return next(self.inputs, None)


def quantize_onnx(
    path: str | os.PathLike,
    out: str | os.PathLike,
    pictures: Iterable[np.ndarray],
    reduce_range: bool = True,
    percentile: float = PERCENTILE,
) -> None:
    """Write a float32 ONNX model in 8 bits: static quantisation with QDQ nodes.

    Weights are int8 by output channel, activations uint8 by tensor, in the range of ``percentile``
    per cent of their values over ``pictures``. The scores and the choice of channels, the products
    and their normalisation, whose range is wide, and what follows the last convolution (decoding,
    NMS) stay float32; so does the first convolution, whose three channels are no work for 8 bits.

    Args:
        path: A file of :func:`~mmhadaptive.deploy.export_onnx`.
        out: The new file, written whole or not at all, with the metadata of the old one.
        pictures: Normalised inputs of the model, some hundreds of those it was trained on.
        reduce_range: Whether weights take 7 bits only. Without it, x86 CPUs without VNNI
            instructions may compute wrong sums, which saturate at 16 bits.
        percentile: What the range of a tensor holds of its values, from 0 to 100. Less gives
            common values finer steps, and clips more of the rare ones.

    Raises:
        FileNotFoundError: There is no file at ``path``.
        UserError: It is no ONNX file, it is quantised already, or it has no convolution.
        UserValueError: There is no picture, or one has another shape than the input; or the
            percentile is none.
    """
    if not 0 < percentile <= 100:
        raise UserValueError(f"the percentile must be over 0 and at most 100, got {percentile}")
    model = _read(path)
    given = model.graph.input[0]
    shape = [d.dim_value or d.dim_param for d in given.type.tensor_type.shape.dim]
    chunks = _chunks(pictures, shape)
    first = next(chunks, None)
    if first is None:
        raise UserValueError("there are no pictures to calibrate with")
    with TemporaryDirectory() as folder, _without_advice():
        prepared, quantised = Path(folder, "prepared.onnx"), Path(folder, "quantised.onnx")
        # Without optimisation, which would take HardSwish apart: shapes alone.
        quant_pre_process(
            str(path), str(prepared), skip_optimization=True, skip_symbolic_shape=True
        )
        ranges = _ranges(prepared, given.name, chain([first], chunks), percentile)
        quantize_static(
            str(prepared),
            str(quantised),
            # It insists on measuring; the ranges below take the place of its own.
            _Reader(given.name, first[:1]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*WEIGHTED, *BETWEEN],
            nodes_to_exclude=_float_nodes(onnx.load(prepared).graph),
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options=dict(TensorQuantOverrides=ranges),
        )
        result = onnx.load(quantised)
    del result.metadata_props[:]
    result.metadata_props.extend(model.metadata_props)
    write_file(out, result.SerializeToString())


def _chunks(pictures: Iterable[np.ndarray], shape: list) -> Iterator[list[np.ndarray]]:
    chunk = []
    for picture in pictures:
        picture = np.ascontiguousarray(picture, np.float32)
        fits = len(shape) == picture.ndim and all(
            known == size
            for known, size in zip(shape, picture.shape, strict=True)
            if isinstance(known, int)
        )
        if not fits:
            raise UserValueError(f"the model takes {shape}, got a picture {picture.shape}")
        chunk.append(picture)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _ranges(
    path: Path, name: str, chunks: Iterable[list[np.ndarray]], percentile: float
) -> dict[str, list[dict[str, np.ndarray]]]:
    """The range of every tensor that may be quantised, as ``TensorQuantOverrides``."""
    calibrator = create_calibrator(
        path,
        [*WEIGHTED, *BETWEEN],
        str(path.with_name("augmented.onnx")),
        CalibrationMethod.Percentile,
        extra_options=dict(percentile=percentile, symmetric=False),
    )
    for chunk in chunks:
        calibrator.collect_data(_Reader(name, chunk))
    found = {tensor: data.range_value for tensor, data in calibrator.compute_data().items()}
    # A range without zero has no zero point, and one of zero no scale.
    return {
        tensor: [dict(rmin=np.float32(min(low, 0)), rmax=np.float32(max(high, 0)))]
        for tensor, (low, high) in found.items()
    }


def _read(path: str | os.PathLike) -> onnx.ModelProto:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no model at {path}")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    # Damaged files raise errors of several libraries.
    except Exception as error:
        raise UserError(f"{path} is no ONNX model: {error}") from error
    operators = {node.op_type for node in model.graph.node}
    if operators & {"QuantizeLinear", "DequantizeLinear", "QLinearConv"}:
        raise UserError(f"{path} is quantised already")
    if "Conv" not in operators:
        raise UserError(f"{path} has no convolution: there is nothing to quantise")
    return model


def _float_nodes(graph: onnx.GraphProto) -> list[str]:
    """The names of the nodes that stay float32 although their kind does not."""
    feeds: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in WEIGHTED or feeds.intersection(node.output):
            feeds.update(node.input)
    first = next(node for node in graph.node if node.op_type == "Conv")
    # Behind the last weights there are coordinates.
    behind = [n for n in graph.node if n.op_type in BETWEEN and not feeds.intersection(n.output)]
    return [node.name for node in (first, *behind)]


@contextmanager
def _without_advice() -> Iterator[None]:
    """Within, the root logger says nothing: the tools advise there what is done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
