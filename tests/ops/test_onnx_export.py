"""Export to ONNX: products become standard operators, and ONNX Runtime gives the same numbers."""

import numpy as np
import pytest
import torch
from literal import make_inputs

from mmhadaptive.ops import cross_hadamard

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


@pytest.mark.parametrize("norm", ["DySoft", "DySig", "DyAlge", None])
@pytest.mark.parametrize("opset", [None, 11, 17])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_exported_layer_computes_the_same(tmp_path, norm, opset):
    """With ``dynamo=True``, which chooses its opset, and by the exporter that traces."""
    pytest.importorskip("mmengine")
    from mmhadaptive.layers import AdaptiveCrossHadamard

    torch.manual_seed(0)
    layer = AdaptiveCrossHadamard(12, 5, product_norm_cfg=norm and dict(type=norm)).eval()
    if norm:
        torch.nn.init.normal_(layer.product_norm.weight)
        torch.nn.init.normal_(layer.product_norm.bias)
    path = tmp_path / "layer.onnx"
    if opset is None:
        options = dict(dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)
    else:
        options = dict(dynamo=False, dynamic_axes=dict(x={0: "batch"}), opset_version=opset)
    torch.onnx.export(layer, (torch.randn(2, 12, 7, 5),), path, input_names=["x"], **options)
    model = onnx.load(path)
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 22
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in (1, 3):
        x = torch.randn(size, 12, 7, 5)
        (y,) = session.run(None, {"x": x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(y, layer(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_half_precision(tmp_path, dynamo):
    class Products(torch.nn.Module):
        def forward(self, x, index, gate):
            return cross_hadamard(x, index, gate, None, None, None, "none")

    inputs = make_inputs(norm="none", dtype=torch.float16)
    arguments = inputs.args()[:3]
    path = tmp_path / "products.onnx"
    names = ["x", "index", "gate"]
    torch.onnx.export(
        Products(), tuple(arguments), path, dynamo=dynamo, input_names=names, verbose=False
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {n: t.numpy() for n, t in zip(names, arguments, strict=True)})
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, cross_hadamard(*inputs.args()).numpy())
