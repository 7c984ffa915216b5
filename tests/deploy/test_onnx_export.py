"""Every form of every kind of model in ONNX, run by ONNX Runtime."""

from collections import Counter

import numpy as np
import pytest
import torch

from mmhadaptive.deploy import check_onnx, export_onnx
from mmhadaptive.io.user_errors import UserError
from mmhadaptive.layers import ACHBottleneck

from .conftest import scatter

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

RAW = [f"{kind}_{level}" for kind in ("scores", "boxes") for level in range(3)]


def pictures(size, count=5):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 3, *size)).astype(np.float32)


def assert_close(report):
    for name, entry in report.items():
        if name == "detections":
            assert entry["expected"] > 20
            assert entry["unpaired"] == 0
        else:
            assert entry["largest"] > 0
            assert entry["error"] < 1e-4 * max(entry["largest"], 1), name


@pytest.mark.parametrize(
    ("kind", "outputs", "batch", "size", "names"),
    [
        ("classifier", "raw", None, (70, 45), ["logits"]),
        ("ssd", "nms", 1, (64, 96), ["boxes", "scores", "labels", "images"]),
        ("ssd", "boxes", 4, (71, 65), ["boxes", "scores"]),
        ("rtmdet", "nms", 2, (64, 64), ["boxes", "scores", "labels", "images"]),
        ("rtmdet", "raw", 1, (77, 93), RAW),
    ],
)
def test_models(tmp_path, request, kind, outputs, batch, size, names):
    model, path = request.getfixturevalue(kind), tmp_path / "model.onnx"
    before = {name: t.clone() for name, t in model.state_dict().items()}
    export_onnx(model, path, size, batch, outputs, metadata=dict(task=kind))
    for name, t in model.state_dict().items():
        torch.testing.assert_close(t, before[name], rtol=0, atol=0)
    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    assert {node.domain for node in file.graph.node} == {""}
    assert [each.version for each in file.opset_import if each.domain == ""] == [20]
    assert [each.name for each in file.graph.output] == names
    assert {each.key: each.value for each in file.metadata_props}["task"] == f'"{kind}"'
    for count in [batch] if batch else [1, 4]:
        assert_close(check_onnx(path, model, pictures(size), count))


def test_backbone(tmp_path, ssd):
    path = tmp_path / "model.onnx"
    export_onnx(ssd.backbone, path, (75, 43), batch=2, opset=18)
    file = onnx.load(path)
    assert [each.name for each in file.graph.output] == ["map_0", "map_1", "map_2"]
    assert [each.version for each in file.opset_import if each.domain == ""] == [18]
    assert_close(check_onnx(path, ssd.backbone, pictures((75, 43)), 2))


def test_the_check_finds_differences(tmp_path):
    path, model = tmp_path / "block.onnx", Block(block())
    export_onnx(model, path, (9, 7))
    assert_close(check_onnx(path, model, pictures((9, 7)), 1))
    model.block.expand.product_norm.bias.data[3] += 0.1
    assert check_onnx(path, model, pictures((9, 7)), 1)["map_0"]["error"] > 1e-3


def block(**options):
    torch.manual_seed(0)
    return scatter(ACHBottleneck(12, 12, 5, kernel_size=5, **options))


class Block(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.first, self.block = torch.nn.Conv2d(3, 12, 1), block

    def forward(self, x):
        return self.block(self.first(x))


def test_the_leanest_form(tmp_path):
    """At batch 1: no reshape, no expansion, no concatenation, and of DySoft the shift alone."""
    path = tmp_path / "block.onnx"
    export_onnx(Block(block()), path, (9, 7))
    nodes = onnx.load(path).graph.node
    assert Counter(node.op_type for node in nodes) == Counter(
        Conv=6,
        ReduceMean=1,
        MatMul=1,
        TopK=1,
        Gather=3,
        Mul=1,
        Softsign=1,
        HardSwish=2,
        # The shift, the residual, the sum of the projections.
        Add=3,
    )
    for node in nodes:
        if node.op_type == "Gather":
            assert [each.i for each in node.attribute if each.name == "axis"] == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(opset=17), "opset 17 is too old"),
        (dict(outputs="masks"), "outputs must be one of raw, boxes, nms"),
        (dict(outputs="nms", nms=dict(type="soft_nms")), "NonMaxSuppression can't do"),
    ],
)
def test_what_cannot_be_exported(tmp_path, ssd, monkeypatch, options, message):
    if nms := options.pop("nms", None):
        monkeypatch.setattr(ssd, "test_cfg", dict(ssd.test_cfg, nms=nms))
    with pytest.raises(UserError, match=message):
        export_onnx(ssd, tmp_path / "model.onnx", (64, 64), **options)
    assert not list(tmp_path.iterdir())
