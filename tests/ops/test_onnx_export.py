"""Export to ONNX: products become standard operators, and ONNX Runtime gives the same numbers."""

import numpy as np
import pytest
import torch

from mmhadaptive.layers import AdaptiveCrossHadamard

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


@pytest.mark.parametrize("norm", ["DySoft", "DySig", "DyAlge"])
def test_exported_layer_computes_the_same(tmp_path, norm):
    torch.manual_seed(0)
    layer = AdaptiveCrossHadamard(12, num_selected=5, product_norm_cfg=dict(type=norm)).eval()
    torch.nn.init.normal_(layer.product_norm.weight)
    torch.nn.init.normal_(layer.product_norm.bias)
    path = tmp_path / "layer.onnx"
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        *(layer, (torch.randn(2, 12, 7, 5),), path),
        dynamo=True,
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in (1, 3):
        x = torch.randn(size, 12, 7, 5)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(y, layer(x).numpy(), rtol=1e-5, atol=1e-5)
