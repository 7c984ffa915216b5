"""The exporter's forms of one network agree with each other and with PyTorch."""

import pytest
import torch
from torch import nn

from mmhadaptive.deploy import onnxruntime_library
from mmhadaptive.io.user_errors import UserError
from mmhadaptive.layers import ACHBottleneck, AdaptiveCrossHadamard

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from mmhadaptive.deploy import export_onnx, load_session, onnx_translation_table  # noqa: E402
from mmhadaptive.deploy.onnx_export import FORMS  # noqa: E402

LIBRARY = onnxruntime_library._LIBRARY
compiled = pytest.mark.skipif(not LIBRARY.exists(), reason=f"{LIBRARY.name} is not built")


@pytest.fixture(scope="module")
def network():
    """One with every norm and selection, whose products weigh as much as their channels."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        AdaptiveCrossHadamard(8, 4, product_norm_cfg=dict(type="DySig"), selection="static"),
        AdaptiveCrossHadamard(14, 3, product_norm_cfg=dict(type="DyAlge"), pointwise=False),
        AdaptiveCrossHadamard(17, 3, product_norm_cfg=None, selection="fixed"),
        AdaptiveCrossHadamard(20, 3, product_norm_cfg=dict(type="BN")),
        ACHBottleneck(23, 16, num_selected=5),
    )
    for module in network.modules():
        if hasattr(module, "product_norm") and module.product_norm is not None:
            nn.init.normal_(module.product_norm.weight)
            nn.init.normal_(module.product_norm.bias)
    with torch.no_grad():
        network(torch.randn(8, 3, 23, 19))
    return network.eval()


OPERATORS = {
    "standard": set(),
    "operator": {"CrossHadamard"},
    "fused": {"CrossHadamard", "FusedBlocks"},
}


@compiled
@pytest.mark.parametrize("batch", [1, None])
def test_forms_agree(network, tmp_path, batch):
    sessions = {}
    for form in FORMS:
        path = tmp_path / f"{form}.onnx"
        export_onnx(network, path, (23, 19), batch, form=form)
        nodes = onnx.load(path).graph.node
        kinds = {node.op_type for node in nodes if node.domain == "mmhadaptive"}
        assert kinds == OPERATORS[form]
        sessions[form] = load_session(path)
    for size in (1,) if batch else (1, 4):
        x = torch.randn(size, 3, 23, 19)
        with torch.no_grad():
            expected = network(x)
        for form, session in sessions.items():
            (y,) = session.run(None, {"image": x.numpy()})
            torch.testing.assert_close(
                torch.from_numpy(y), expected, rtol=1e-4, atol=1e-4, msg=form
            )


@compiled
def test_the_table_is_for_torchs_own_exporter(tmp_path):
    torch.manual_seed(0)
    layer = AdaptiveCrossHadamard(6, 3).eval()
    path = tmp_path / "layer.onnx"
    x = torch.randn(1, 6, 5, 3)
    table = onnx_translation_table()
    torch.onnx.export(layer, (x,), path, custom_translation_table=table, verbose=False)
    model = onnx.load(path)
    (node,) = (node for node in model.graph.node if node.domain == "mmhadaptive")
    assert node.op_type == "CrossHadamard"
    assert ("mmhadaptive", 1) in {(opset.domain, opset.version) for opset in model.opset_import}
    session = load_session(path)
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(y), layer(x), rtol=1e-5, atol=1e-5)


def test_unknown_form(tmp_path):
    with pytest.raises(UserError, match="standard, operator, fused, got 'custom'"):
        export_onnx(nn.Identity(), tmp_path / "x.onnx", (8, 8), form="custom")
    assert not list(tmp_path.iterdir())
