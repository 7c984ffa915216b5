"""int8 of tiny networks: what is quantised, how near it is, what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

from mmhadaptive.deploy import export_onnx, quantize_onnx  # noqa: E402
from mmhadaptive.io.user_errors import UserError, UserValueError  # noqa: E402
from mmhadaptive.models.backbones import HadaptiveNet  # noqa: E402

ARCH = [[("conv", 8, 2, 2, "HSwish")], [("ach", 8, 4, 3), ("ghost", 16, 2, 3, 1)]]
METADATA = dict(task="backbone", size=[16, 16])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A file, and the network that it is of."""
    torch.manual_seed(0)
    network = HadaptiveNet(ARCH, out_indices=(1,))
    network.init_weights()
    # Statistics of the data, or else nothing is of the same size as in a trained network.
    network.train()
    for _ in range(20):
        network(torch.randn(8, 3, 16, 16))
    path = tmp_path_factory.mktemp("int8") / "float32.onnx"
    export_onnx(network.eval(), path, (16, 16), metadata=METADATA)
    return path, network


def pictures(number=32, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(1, 3, 16, 16)).astype(np.float32) for _ in range(number)]


@pytest.fixture(scope="module")
def quantised(exported):
    out = exported[0].with_name("int8.onnx")
    quantize_onnx(exported[0], out, pictures())
    return out


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": x})[0]


def test_it_computes_nearly_the_same(exported, quantised):
    path, network = exported
    errors = []
    for x in pictures(8, seed=1):
        expected = run(path, x)
        with torch.no_grad():
            np.testing.assert_allclose(expected, network(torch.from_numpy(x))[0], atol=1e-4)
        found = run(quantised, x)
        errors.append(np.abs(found - expected).mean() / np.abs(expected).mean())
    # Not the same, or nothing is quantised.
    assert 1e-4 < np.mean(errors) < 0.1


def test_what_stays_float32(quantised):
    """Convolutions but the first take quantised inputs and weights, by channel; products, their
    normalisation and the choice take none."""
    graph = onnx.load(quantised).graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {each.name: each for each in graph.initializer}

    def dequantised(node):
        return [
            name in makers and makers[name].op_type == "DequantizeLinear" for name in node.input[:2]
        ]

    first, *convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert dequantised(first) == [False, False]
    assert convolutions
    assert all(dequantised(node) == [True, True] for node in convolutions)
    weights = [makers[node.input[1]] for node in convolutions]
    values = [onnx.numpy_helper.to_array(constants[node.input[0]]) for node in weights]
    assert {value.dtype for value in values} == {np.dtype(np.int8)}
    # Seven bits, so that no sum of two products saturates.
    assert max(np.abs(value.astype(int)).max() for value in values) <= 64
    assert any(constants[node.input[1]].dims for node in weights)
    for kind in ("Mul", "Softsign", "TopK", "MatMul"):
        nodes = [node for node in graph.node if node.op_type == kind]
        assert nodes, kind
        users = {
            node.op_type for node in graph.node for name in nodes[0].output if name in node.input
        }
        assert kind != "Mul" or "QuantizeLinear" not in users


def test_a_smaller_percentile_gives_finer_steps(exported, quantised):
    out = quantised.with_name("finer.onnx")
    quantize_onnx(exported[0], out, pictures(), percentile=90)
    usual, finer = (
        {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
        for path in (quantised, out)
    )
    # Those of weights, by channel, are the same.
    scales = [name for name in usual if name.endswith("_scale") and usual[name].ndim == 0]
    assert scales
    assert all(finer[name] < usual[name] for name in scales)


def test_metadata_and_repetition(exported, quantised):
    assert {p.key: p.value for p in onnx.load(quantised).metadata_props} == {
        p.key: p.value for p in onnx.load(exported[0]).metadata_props
    }
    again = quantised.with_name("again.onnx")
    quantize_onnx(exported[0], again, iter(pictures()))
    assert again.read_bytes() == quantised.read_bytes()


def test_what_cannot_be_quantised_is_refused(exported, quantised, tmp_path):
    path, _ = exported
    out = tmp_path / "out.onnx"
    with pytest.raises(FileNotFoundError, match=r"no model at .*missing\.onnx"):
        quantize_onnx(tmp_path / "missing.onnx", out, pictures(1))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"broken\.onnx is no ONNX model"):
        quantize_onnx(broken, out, pictures(1))
    with pytest.raises(UserError, match="is quantised already"):
        quantize_onnx(quantised, out, pictures(1))
    with pytest.raises(UserValueError, match="no pictures"):
        quantize_onnx(path, out, [])
    with pytest.raises(UserValueError, match="at most 100, got 0"):
        quantize_onnx(path, out, pictures(1), percentile=0)
    with pytest.raises(
        UserValueError, match=r"takes \[1, 3, 16, 16\], got a picture \(1, 3, 8, 8\)"
    ):
        quantize_onnx(path, out, [np.zeros((1, 3, 8, 8), np.float32)])
    linear = tmp_path / "linear.onnx"
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    info = [onnx.helper.make_tensor_value_info(name, 1, [1, 3]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([relu], "g", info[:1], info[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]), linear
    )
    with pytest.raises(UserError, match="has no convolution"):
        quantize_onnx(linear, out, pictures(1))
    assert not out.exists()


def test_a_classifier_predicts_by_a_file(exported):
    """The whole batch, although the file takes one picture at a time."""
    from mmhadaptive.deploy.predictions import predicting_by

    path, network = exported

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.head = network, nn.Identity()

        def extract_feat(self, x):
            return self.backbone(x)

        def forward(self, x, mode="tensor"):
            return self.head(self.extract_feat(x))

    model = Classifier()
    x = torch.from_numpy(np.concatenate(pictures(3)))
    with torch.no_grad():
        expected = model(x)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with predicting_by(session, model, (16, 16)):
        model.backbone = None
        found = model(x)
        model.backbone = network
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-4)
    assert model.extract_feat(x)[0].shape == expected[0].shape
    two = onnxruntime.InferenceSession(_two_outputs(path), providers=["CPUExecutionProvider"])
    with pytest.raises(UserError, match="outputs raw or nms"), predicting_by(two, model, (16, 16)):
        pass


def _two_outputs(path):
    model = onnx.load(path)
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = "image_again"
    model.graph.node.append(
        onnx.helper.make_node("Identity", [model.graph.output[0].name], ["image_again"])
    )
    return model.SerializeToString()
