"""The operators for ONNX Runtime: what they compute, what they refuse, and sessions with them."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from mmhadaptive.deploy import onnxruntime_library
from mmhadaptive.io.user_errors import UserError
from mmhadaptive.ops.fused_blocks import (
    Bottleneck,
    CrossHadamard,
    PatchConvolution,
    fused_blocks_reference,
    pack_blocks,
)

from ..ops.literal import NORMS, assert_matches, literal, make_inputs

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

LIBRARY = onnxruntime_library._LIBRARY
compiled = pytest.mark.skipif(not LIBRARY.exists(), reason=f"{LIBRARY.name} is not built")
INPUTS = ("x", "index", "gate", "alpha", "weight", "bias")


def products(path, given, norm, domain="mmhadaptive"):
    """Write a model of one operator with those inputs that are given."""
    helper = onnx.helper
    names = [name if name in given else "" for name in INPUTS]
    kinds = dict.fromkeys(given, onnx.TensorProto.FLOAT) | {"index": onnx.TensorProto.INT64}
    node = helper.make_node("CrossHadamard", names, ["y"], domain=domain, norm=norm)
    values = [helper.make_tensor_value_info(name, kinds[name], None) for name in given]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    graph = helper.make_graph([node], "products", values, [output])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def run(session, inputs):
    names = [value.name for value in session.get_inputs()]
    (y,) = session.run(None, {name: getattr(inputs, name).numpy() for name in names})
    return torch.from_numpy(y)


def session_for(folder, inputs, gate=True, threads=1):
    given = [n for n in INPUTS if getattr(inputs, n) is not None and (gate or n != "gate")]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    path = products(folder / "products.onnx", given, inputs.norm)
    session = onnxruntime_library.load_session(path, options=options)
    assert options.get_session_config_entry("mmhadaptive.threads") == str(threads)
    return session


@compiled
def test_the_threads_are_a_number(tmp_path):
    path = products(tmp_path / "products.onnx", ["x", "index"], "none")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("mmhadaptive.threads", "all")
    with pytest.raises(UserError, match=r"products\.onnx .* mmhadaptive\.threads .* got 'all'"):
        onnxruntime_library.load_session(path, options=options)


@compiled
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("gate", [True, False])
def test_computes_the_products(tmp_path, norm, gate):
    # Of odd sizes, one that fills no vector, one of several tiles, and none at all.
    shapes = (dict(batch=1), dict(batch=4, channels=24, height=31, width=17, selected=18))
    inputs = make_inputs(norm=norm)
    session = session_for(tmp_path, inputs, gate)
    for shape in (*shapes, dict(batch=2, height=1, width=1), dict(batch=0)):
        if norm != "none":
            shape = shape | dict(selected=6)
        inputs = make_inputs(norm=norm, **shape)
        y = run(session, inputs)
        if not gate:
            inputs.gate = torch.ones_like(inputs.gate)
        if shape.get("batch"):
            expected = {"y": literal(*inputs.args())}
            assert_matches({"y": y}, expected, torch.float32)
        else:
            assert y.shape == (0, 27, 5, 7)


@compiled
def test_threads_are_those_of_the_session(tmp_path):
    inputs = make_inputs(2, 24, 64, 48, 18)
    tasks = "/proc/self/task"
    before = len(os.listdir(tasks))
    one = session_for(tmp_path, inputs)
    y = run(one, inputs)
    # It starts none of its own.
    assert len(os.listdir(tasks)) == before
    assert torch.equal(run(session_for(tmp_path, inputs, threads=3), inputs), y)


@compiled
def test_wrong_inputs_are_errors_and_the_session_lives_on(tmp_path):
    inputs = make_inputs()
    session = session_for(tmp_path, inputs)
    expected = run(session, inputs)
    wrong = {
        "index[1, 2] is 12, outside of the 12 channels": dict(index=(1, 2, 12)),
        "index[0] selects channel": dict(index=(0, 1, inputs.index[0, 0])),
        "index must have shape (N, k) with N = 2": dict(index=inputs.index[:1]),
        "index must select 2 to 64 channels, got 1": dict(index=inputs.index[:, :1]),
        "index selects 6 channels, but x has 5": dict(x=inputs.x[:, :5]),
        "x must have 4 dimensions (N, C, H, W), got 3": dict(x=inputs.x[0]),
        "gate must have the shape of index": dict(gate=inputs.gate[:, :5]),
        "weight must have shape (15,), got 14 elements": dict(weight=inputs.weight[:14]),
    }
    for message, change in wrong.items():
        ((name, value),) = change.items()
        feeds = {n: getattr(inputs, n).numpy() for n in INPUTS}
        if isinstance(value, tuple):
            *position, number = value
            feeds[name] = feeds[name].copy()
            feeds[name][tuple(position)] = number
        else:
            feeds[name] = value.numpy()
        with pytest.raises(Exception, match="ONNXRuntimeError") as caught:
            session.run(None, feeds)
        assert message in str(caught.value)
    assert torch.equal(run(session, inputs), expected)


@compiled
@pytest.mark.parametrize(
    ("norm", "given", "message"),
    [
        ("tanh", INPUTS, "norm must be 'softsign', 'sigmoid', 'algebraic' or 'none', got 'tanh'"),
        ("none", INPUTS, "alpha must not be given if norm is 'none'"),
        ("sigmoid", INPUTS[:3], "alpha is required unless norm is 'none'"),
    ],
)
def test_wrong_norms(tmp_path, norm, given, message):
    inputs = make_inputs()
    path = products(tmp_path / "wrong.onnx", given, norm)
    with pytest.raises(Exception, match="ONNXRuntimeError") as caught:
        run(onnxruntime_library.load_session(path), inputs)
    assert message in str(caught.value)


def test_path_of_the_library(monkeypatch, tmp_path):
    if LIBRARY.exists():
        assert onnxruntime_library.get_library_path() == str(LIBRARY)
    missing = tmp_path / "library.so"
    monkeypatch.setattr(onnxruntime_library, "_LIBRARY", missing)
    with pytest.raises(UserError, match=f"{missing}: reinstall it .* ONNXRUNTIME_INCLUDE_DIR"):
        onnxruntime_library.get_library_path()


def test_a_session_without_the_library_says_what_the_model_needs(monkeypatch, tmp_path):
    path = products(tmp_path / "products.onnx", INPUTS, "softsign")
    monkeypatch.setattr(onnxruntime_library, "_LIBRARY", tmp_path / "library.so")
    with pytest.raises(UserError, match=f"^{path}: .* installed without its operators"):
        onnxruntime_library.load_session(path)
    (tmp_path / "library.so").write_text("not a library")
    with pytest.raises(UserError, match=f"^{path} needs .* do not load: .*library.so"):
        onnxruntime_library.load_session(path)


def test_other_errors_of_a_session(monkeypatch, tmp_path):
    monkeypatch.delattr(onnxruntime_library, "get_library_path")
    path = products(tmp_path / "products.onnx", INPUTS, "softsign", domain="other")
    with pytest.raises(UserError, match=f"^{path} is no model .*other:CrossHadamard"):
        onnxruntime_library.load_session(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.onnx"):
        onnxruntime_library.load_session(tmp_path / "absent.onnx")


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from mmhadaptive.deploy import get_library_path, load_session
get_library_path()
print([value.name for value in load_session(sys.argv[1]).get_inputs()])
"""


@compiled
def test_needs_no_torch(tmp_path):
    path = products(tmp_path / "products.onnx", INPUTS, "softsign")
    command = [sys.executable, "-c", WITHOUT_TORCH, path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == f"{list(INPUTS)}\n", done.stderr


def chain():
    """A convolution of patches and a bottleneck, packed."""
    torch.manual_seed(0)

    def affine(out, *columns):
        return torch.randn(out, *columns), torch.randn(out)

    expansion = CrossHadamard(5, "eca", torch.randn(3), "softsign", torch.randn(1), affine(10))
    bottleneck = Bottleneck(
        *(affine(9, 7), "relu", expansion, affine(19, 1, 5, 5), 2, 2, "hardswish"),
        *(affine(6, 19), False),
    )
    patches = PatchConvolution(affine(7, 3, 2, 2), "hardswish", planar=True)
    return pack_blocks([patches, bottleneck])


def chain_session(folder, packed, spec, threads=1):
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("FusedBlocks", ["x", "packed"], ["y"], domain="mmhadaptive", spec=spec)
    values = [helper.make_tensor_value_info(name, kind, None) for name in "xy"]
    weights = onnx.numpy_helper.from_array(packed.numpy(), "packed")
    graph = helper.make_graph([node], "chain", values[:1], values[1:], [weights])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mmhadaptive", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "chain.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime_library.load_session(folder / "chain.onnx", options=options)


@compiled
def test_fused_blocks(tmp_path):
    packed, spec = chain()
    sessions = [chain_session(tmp_path, packed, spec, threads) for threads in (1, 3)]
    for shape in ((1, 3, 26, 34), (4, 3, 26, 34), (1, 3, 160, 96), (2, 3, 2, 2)):
        x = torch.randn(shape)
        expected = fused_blocks_reference(x, packed, spec)
        one, three = (torch.from_numpy(s.run(None, {"x": x.numpy()})[0]) for s in sessions)
        largest = float(expected.abs().max())
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-4 * largest)
        assert torch.equal(one, three)


@compiled
def test_wrong_fused_blocks(tmp_path):
    packed, spec = chain()
    with pytest.raises(UserError, match=r"spec must have .* numbers for every block, got 5"):
        chain_session(tmp_path, packed, spec[:5])
    x = torch.randn(1, 3, 8, 8).numpy()
    for session, feed, message in (
        (chain_session(tmp_path, packed[:-16], spec), x, "parameters"),
        (chain_session(tmp_path, packed, spec), x[0], "x must have 4 dimensions"),
        (chain_session(tmp_path, packed, spec), x[:, :2], "channels"),
    ):
        with pytest.raises(Exception, match=f"ONNXRuntimeError.*{message}"):
            session.run(None, {"x": feed})


@compiled
@pytest.mark.parametrize("version", ["1.16.3", "1.9.0", "not a version"])
def test_an_older_runtime_is_told_so(version):
    """A runtime that does not have the API of the headers, whose first function makes errors."""
    messages, asked = [], []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
    def create_status(code, message):
        messages.append((code, message.decode()))
        return 1234

    api = (ctypes.c_void_p * 400)(ctypes.cast(create_status, ctypes.c_void_p).value)
    known = int(version.split(".")[1]) if "." in version else 1

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)
    def get_api(number):
        asked.append(number)
        return ctypes.addressof(api) if 1 <= number <= known else None

    @ctypes.CFUNCTYPE(ctypes.c_void_p)
    def get_version():
        return ctypes.cast(text, ctypes.c_void_p).value

    text = ctypes.c_char_p(version.encode())
    base = (ctypes.c_void_p * 2)(
        *(ctypes.cast(f, ctypes.c_void_p).value for f in (get_api, get_version))
    )
    register = ctypes.CDLL(str(LIBRARY)).RegisterCustomOps
    register.argtypes, register.restype = [ctypes.c_void_p] * 2, ctypes.c_void_p
    assert register(None, ctypes.addressof(base)) == 1234
    ((code, message),) = messages
    assert code == 9  # ORT_NOT_IMPLEMENTED
    assert message.startswith(f"mmhadaptive's operators were built for ONNX Runtime 1.{asked[0]} ")
    assert f"this is {version}" in message
