"""The suites measure what their tables and the committed records show."""

import copy
import json
from itertools import islice

import pytest
import torch

from mmhadaptive.analysis import depthwise_benchmarks, fused_benchmarks
from mmhadaptive.analysis import operator_benchmarks as suites
from mmhadaptive.analysis import operator_tables as tables
from mmhadaptive.deploy import fuse
from mmhadaptive.deploy.folding import fold_norms
from mmhadaptive.ops.arguments import STRATEGIES

from ..paths import DOCS

RECORDS = sorted((DOCS / "benchmarks").glob("*.json"))
TABLES = {
    "layers": tables.layers_table,
    "memory": tables.memory_table,
    "model": tables.model_table,
    "depthwise": tables.depthwise_table,
    "fused": tables.fused_table,
}


@pytest.fixture
def counted(monkeypatch):
    """Measurements that take a second each and call the function once."""
    calls = []

    class Counting:
        def __init__(self, device, seconds):
            pass

        def __call__(self, function):
            calls.append(function())
            return 1.0

    monkeypatch.setattr(suites, "Timer", Counting)
    return calls


def first_record(suite):
    path = next(path for path in RECORDS if path.name.startswith(suite))
    return json.loads(path.read_text())


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_pages_are_those_of_the_records(path):
    record = json.loads(path.read_text())
    table = TABLES[path.stem.partition("-")[0]](record["rows"])
    assert path.with_suffix(".md").read_text() == tables.page(path.stem, record, table)


def test_layers(counted):
    options = suites.Options(batches=[2], sizes=[64], networks=["S"], channels_last=[True])
    rows = list(suites.layers(options))
    assert [(row["stride"], row["extent"]) for row in rows] == [(16, 4), (32, 2)]
    for row in rows:
        assert row.keys() == first_record("layers-cpu-bfloat16")["rows"][0].keys()
    # x (2, 96, 4, 4) and y with 16 * 15 / 2 products.
    assert rows[0]["bytes"] == 4 * 2 * (2 * 96 + 120) * 16
    # Forward and gradients of x, gate, alpha, weight and bias, for the operator and for eager.
    assert [len(calls) for calls in counted[1::2]] == [5] * 4
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in counted[::2])


def test_memory(counted, monkeypatch):
    monkeypatch.setattr(suites, "TURNS", {"cpu": (2, 1)})
    monkeypatch.setattr(suites, "LARGE", ((8, 2, 4),))
    (row,) = suites.memory(suites.Options(channels_last=[False]))
    assert row.keys() == first_record("memory")["rows"][0].keys()
    # x has 8 channels, of which 4 are selected, and y 14, of four pixels of four bytes.
    assert row["copy"] == 16 * 2 * 14
    assert row["auto_forward"] == 16 * (8 + 14)
    assert row["backward"] == 16 * (4 + 14 + 8)


def test_sweep_compares_every_strategy(counted, monkeypatch):
    # Nothing of it needs a GPU but the times.
    monkeypatch.setattr(suites.Options, "strategies", STRATEGIES[1:])
    rows = list(islice(suites.sweep(suites.Options()), 2))
    assert [(row["batch"], row["selected"], row["extent"]) for row in rows] == [
        (1, 32, 4),
        (1, 32, 7),
    ]
    assert rows[0].keys() == {"grid", "batch", "selected", "extent", *STRATEGIES[1:]}
    assert counted[0].shape == (1, 192 + 496, 4, 4)


def test_model_puts_the_operator_back(monkeypatch):
    from mmhadaptive.layers import adaptive_cross_hadamard as layer

    original = layer.cross_hadamard
    used = []
    monkeypatch.setattr(
        suites, "Timer", lambda *_: lambda function: used.append(layer.cross_hadamard) or 2.0
    )
    rows = list(suites.model(suites.Options()))
    assert rows == [dict(products="native", eager=2.0), dict(products="auto", eager=2.0)]
    assert used[0] is suites.cross_hadamard_reference
    assert used[1].func is original
    assert layer.cross_hadamard is original


def test_depthwise_compares_the_layer_with_conv2d(monkeypatch):
    seen = []

    def turns(functions, rounds):
        seen.extend(function() for function in functions.values())
        return dict.fromkeys(functions, 1.0)

    monkeypatch.setattr(depthwise_benchmarks, "median_times", turns)
    monkeypatch.setattr(depthwise_benchmarks, "CASES", ((2, 8, 5, 4, 1), (2, 8, 3, 4, 2)))
    monkeypatch.setattr(depthwise_benchmarks, "STEPS", ((2, 32),))
    rows = list(depthwise_benchmarks.depthwise(suites.Options(channels_last=[True])))
    assert [row["what"] for row in rows] == ["forward", "backward"] * 2 + ["step"]
    assert rows[2]["case"] == "2 x 8 x 4², 3x3, stride 2"
    assert all(row.keys() == first_record("depthwise")["rows"][0].keys() for row in rows)
    torch.testing.assert_close(seen[0], seen[1], rtol=1e-4, atol=1e-5)
    assert seen[2][1].shape == (8, 1, 5, 5)


@pytest.mark.parametrize("what", ["own", "conv2d"])
def test_the_twin_differs_in_the_class_of_the_layer_alone(what):
    plain, own = depthwise_benchmarks._classifiers()
    kinds = {type(m) for m in (own if what == "own" else plain).modules()}
    assert (depthwise_benchmarks.DepthwiseConv2d in kinds) == (what == "own")
    states = plain.state_dict(), own.state_dict()
    assert states[0].keys() == states[1].keys()


def test_fused_times_every_shape_and_the_network(monkeypatch):
    def turns(functions, rounds):
        outputs = [function() for function in functions.values()]
        outputs = [y[0] if isinstance(y, tuple) else y for y in outputs]
        for y in outputs[1:]:
            torch.testing.assert_close(y, outputs[0], rtol=1e-3, atol=1e-4)
        return dict.fromkeys(functions, 0.5)

    monkeypatch.setattr(fused_benchmarks, "median_times", turns)
    options = suites.Options(batches=[2], sizes=[64], networks=["S"])

    def runtime(model, x):
        return lambda: model(x)

    rows = list(fused_benchmarks.fused(options, fold_norms_of_copy, fuse, runtime))
    whats = ["ACH 96, k=16, 5x5, 4x4", "ACH 128, k=32, 7x7, 2x2", "network"]
    assert [row["what"] for row in rows] == whats
    assert [set(row) & {"eager", "fused", "runtime"} for row in rows] == [
        {"eager", "fused"},
        {"eager", "fused"},
        {"eager", "fused", "runtime"},
    ]
    assert tables.fused_table(rows).splitlines()[-1] == (
        "| S | 64 | 2 | network | 500 | 500 | 500 | 1.00 | 1.00 |"
    )


def fold_norms_of_copy(model):
    return fold_norms(copy.deepcopy(model).eval())
