"""The operator is one node for whatever takes a network apart, with the library and without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from literal import make_inputs
from torch._dynamo.testing import AotEagerAndRecordGraphs

from mmhadaptive.ops import cross_hadamard
from mmhadaptive.ops.arguments import num_products
from mmhadaptive.ops.dispatch import FORWARD, SCHEMA

FILES = ("test_registration.py", "test_onnx_export.py")


class Module(torch.nn.Module):
    def forward(self, x, index, gate, alpha, weight, bias):
        return cross_hadamard(x.relu(), index, gate, alpha, weight, bias).relu()


@pytest.fixture
def arguments():
    return tuple(make_inputs().args()[:6])


def targets(graph):
    return [str(node.target) for node in graph.nodes if "hadamard" in str(node.target)]


def test_schema():
    """That of the library is the one that stands in its place."""
    assert str(torch.ops.mmhadaptive.cross_hadamard.default._schema) == (
        FORWARD + SCHEMA.replace("'", '"')
    )


def test_a_trace_has_the_node(arguments):
    traced = torch.jit.trace(Module(), arguments)
    kinds = [node.kind() for node in traced.inlined_graph.nodes()]
    assert kinds.count(FORWARD) == 1
    assert not {"aten::gather", "aten::index_select"} & set(kinds)
    assert torch.equal(traced(*arguments), Module()(*arguments))


@pytest.mark.parametrize("grad", [False, True])
def test_an_exported_program_has_the_node(arguments, grad):
    for t in arguments:
        t.requires_grad_(grad and t.is_floating_point())
    exported = torch.export.export(Module(), arguments)
    expected = ["mmhadaptive.cross_hadamard.default"]
    assert targets(exported.graph) == expected
    decomposed = exported.run_decompositions()
    assert targets(decomposed.graph) == expected
    assert torch.equal(decomposed.module()(*arguments), Module()(*arguments))


def test_the_counter_has_the_node(arguments):
    pytest.importorskip("mmengine")
    from mmhadaptive.analysis.complexity import count_operations

    counts = count_operations(Module(), arguments)[""]
    x, index = arguments[:2]
    assert counts["cross_hadamard"] == num_products(index.shape[1]) * x[:, 0].numel()


def test_a_dynamic_graph_has_the_node_and_its_memory_format():
    """FakeTensor's strides, also of symbolic sizes, are those of the result."""
    inputs = make_inputs(channels_last=True)
    backend = AotEagerAndRecordGraphs()
    compiled = torch.compile(cross_hadamard, backend=backend, dynamic=True, fullgraph=True)
    y = compiled(*inputs.args())
    (graph,) = backend.fw_graphs
    assert targets(graph.graph) == ["mmhadaptive.cross_hadamard.default"]
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, cross_hadamard(*inputs.args()))


def test_devices_without_kernels_have_the_operator():
    inputs = make_inputs(device="meta")
    y = torch.ops.mmhadaptive.cross_hadamard(*inputs.args())
    assert y.shape == (2, 27, 5, 7)


@pytest.mark.skipif("MMHADAPTIVE_REFERENCE" in os.environ, reason="these tests run without it")
def test_without_the_library():
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", *(str(folder / name) for name in FILES)]
    environment = {**os.environ, "MMHADAPTIVE_REFERENCE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
