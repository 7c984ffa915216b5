"""Networks are timed in turns, and the tables show the record of that."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mmhadaptive.analysis import latency
from mmhadaptive.analysis.latency import (
    FORMS,
    available_forms,
    difference,
    onnxruntime_call,
    onnxruntime_options,
    onnxruntime_providers,
    pytorch_call,
    quartiles,
    time_in_turns,
)
from mmhadaptive.analysis.latency_networks import (
    build_network,
    classifiers,
    detectors,
    let_through,
    paper_figures,
    settle_norms,
)
from mmhadaptive.analysis.latency_tables import latency_table, ratios_table, targets_table

NETWORKS = [
    *("mobilenetv3_small", "mobileone_s0", "hadaptive_s", "shufflenetv2_1x"),
    *("mobilenetv4_conv_small", "starnet_s1", "hadaptive_m", "starnet_s2", "ghostnet_100"),
    *("mobilenetv3_large", "mobileone_s1", "starnet_s3", "hadaptive_l", "starnet_s4"),
    *("mobileone_s2", "ghostnetv3_100", "mobilenetv4_conv_medium", "mobileone_s3"),
    "mobilenetv4_conv_large",
]


def milliseconds(**medians):
    forms = {name.replace("_", "-"): median for name, median in medians.items()}
    return {
        form: dict(min=median - 2, q1=median - 1, median=median, q3=median + 2)
        for form, median in forms.items()
    }


def row(network, cpu, **medians):
    return dict(
        network=network,
        parameters=2_102_000,
        macs=131_137_000,
        paper=dict(cpu=cpu, top1={}),
        milliseconds=milliseconds(**medians),
    )


ROWS = [
    row("mobilenetv3_small", 33.0, onnxruntime=4.0, onnxruntime_all=3.0, compiled=3.2),
    row("hadaptive_s", 30.0, onnxruntime=8.0, onnxruntime_all=6.0, fused=4.0),
    row("hadaptive_m", 40.0, onnxruntime=20.0, onnxruntime_all=9.0, fused=8.0),
]


def test_the_networks_are_those_of_table_7():
    assert list(classifiers()) == NETWORKS
    assert paper_figures("hadaptive_s") == {
        "cpu": 29.45,
        "top1": {"CIFAR-100": 73.57, "ImageNet-1k": 73.96},
    }
    assert all(len(paper_figures(name)["top1"]) == 2 for name in NETWORKS)
    assert len(detectors()) == 6


def test_calls_take_turns(monkeypatch):
    """One that is not timed and two that are; what a disturbed round takes is not the median."""
    clock, calls, lines = [0.0], [], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def call(name, seconds):
        calls.append(name)
        turn = (len(calls) - 20) / 6
        # The first of a turn is slow, and all of the second of three rounds.
        first = len(calls) < 2 or calls[-2] != name
        clock[0] += seconds * (100 if first else 1) * (10 if 1 < turn <= 2 else 1)

    functions = {("a", "eager"): lambda: call("a", 1.0), ("b", "eager"): lambda: call("b", 3.0)}
    found = time_in_turns(functions, runs=5, turn=2, report=lines.append)
    assert calls == 10 * ["a", "b"] + 3 * ["a", "a", "a", "b", "b", "b"]
    assert found == {
        ("a", "eager"): dict(min=1000, q1=1000, median=1000, q3=7750),
        ("b", "eager"): dict(min=3000, q1=3000, median=3000, q3=23250),
    }
    assert lines == ["round 1 of 3", "round 2 of 3", "round 3 of 3"]


def test_progress_ten_times():
    lines = []
    time_in_turns({("a", "eager"): lambda: None}, runs=500, turn=5, report=lines.append)
    assert lines == [f"round {10 * i} of 100" for i in range(1, 11)]


def test_quartiles():
    times = np.random.default_rng(0).permutation(np.arange(1, 102)) / 1000
    assert quartiles(list(times)) == dict(min=1, q1=26, median=51, q3=76)
    assert quartiles([0.002]) == dict(min=2, q1=2, median=2, q3=2)


def test_the_gpu_forms_are_those_of_what_is_installed(monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    cpu = [name for name, form in FORMS.items() if form.device == "cpu"]
    for providers, cuda, more in (
        ([], False, []),
        (["CUDAExecutionProvider"], False, ["onnxruntime-cuda"]),
        ([], True, ["eager-cuda", "compiled-cuda", "fused-cuda"]),
    ):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda p=providers: p)
        monkeypatch.setattr(torch.cuda, "is_available", lambda c=cuda: c)
        assert available_forms() == cpu + more


def test_a_call_of_onnx_runtime():
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [value("x", onnx.TensorProto.FLOAT, [2])],
        [value("y", onnx.TensorProto.FLOAT, [2])],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    options = onnxruntime_options(1)
    providers = onnxruntime_providers("cpu")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers)
    call = onnxruntime_call(session, np.array([1, -2], np.float32))
    np.testing.assert_array_equal(call(), [-1, 2])


def test_threads_and_providers(monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    monkeypatch.setattr(latency, "cores", lambda: 3)
    threads = [onnxruntime_options(number).intra_op_num_threads for number in (1, 2, None)]
    assert threads == [1, 2, 3]
    assert onnxruntime_providers("cuda") == ["CUDAExecutionProvider", "CPUExecutionProvider"]


class Doubled(nn.Module):
    def forward(self, x, mode):
        assert (mode, torch.is_grad_enabled()) == ("tensor", False)
        return 2 * x


def test_a_call_of_pytorch(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda m, **kwargs: compiled.append(kwargs) or m)
    image = np.ones((1, 3, 2, 2), np.float32)
    assert (pytorch_call(Doubled(), image)() == 2).all()
    assert not compiled
    assert (pytorch_call(Doubled(), image, compiled=True)() == 2).all()
    assert [kwargs["options"] for kwargs in compiled] == [dict(freezing=True)]


def test_the_difference_is_relative():
    assert difference(np.array([1.0, 3.5]), torch.tensor([1.25, -4.0])) == pytest.approx(7.5 / 4)


def test_norms_have_the_statistics_of_the_batch():
    class Network(nn.Sequential):
        def forward(self, x, mode):
            assert mode == "tensor"
            return super().forward(x)

    network = Network(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8, momentum=0.1))
    images = 5 + 100 * torch.randn(4, 3, 6, 6)
    settle_norms(network, images)
    y = network(images, mode="tensor")
    assert not network.training
    assert network[1].momentum == 0.1
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(y.var((0, 2, 3)), torch.ones(8), atol=2e-2, rtol=0)


def test_a_number_of_scores_passes():
    scores = nn.ModuleList(
        nn.Sequential(nn.Conv2d(3, 3, 3), nn.Tanh(), nn.Conv2d(3, n, 1)) for n in (4, 6)
    ).double()
    head = SimpleNamespace(cls_convs=scores, test_cfg=SimpleNamespace(score_thr=0.02))

    class Detector(nn.Module):
        bbox_head = head

        def forward(self, x, mode):
            return [layer(x) for layer in scores], None

    image = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    let_through(Detector(), image, 123)
    passed = sum((layer(image).sigmoid() > 0.02).sum().item() for layer in scores)
    assert passed == 123


def test_a_network_is_built_as_it_runs():
    model, cfg, size = build_network(classifiers()["mobileone_s0"])
    assert size == (224, 224)
    assert cfg.model.type == "ImageClassifier"
    assert not model.training
    # Merged: one convolution a layer and no normalisation.
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    x = torch.randn(1, 3, 64, 64)
    assert 0.01 < model(x, mode="tensor").std() < 100
    again, _, _ = build_network(classifiers()["mobileone_s0"])
    torch.testing.assert_close(again(x, mode="tensor"), model(x, mode="tensor"))


def test_the_table_of_latencies():
    assert latency_table(ROWS[:2]) == (
        "|  | parameters, M | MACs, M | ONNX Runtime, 1 thread | ONNX Runtime, all cores "
        "| torch.compile, 1 thread | PyTorch fused, 1 thread |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| `mobilenetv3_small` | 2.10 | 131 | 4.00 (3.00 to 6.00) | 3.00 (2.00 to 5.00) "
        "| 3.20 (2.20 to 5.20) | - |\n"
        "| `hadaptive_s` | 2.10 | 131 | 8.00 (7.00 to 10.00) | 6.00 (5.00 to 8.00) | - "
        "| 4.00 (3.00 to 6.00) |\n"
    )


def test_the_table_of_ratios():
    """Each form against itself; and the best one on one thread, whichever that is."""
    assert ratios_table(ROWS) == (
        "| times `hadaptive_s` | paper, CPU | ONNX Runtime, 1 thread | ONNX Runtime, all cores "
        "| torch.compile, 1 thread | PyTorch fused, 1 thread | the best of each, 1 thread |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| `mobilenetv3_small` | 1.10 | 0.50 | 0.50 | - | - | 0.80 |\n"
        "| `hadaptive_s` | 1.00 | 1.00 | 1.00 | - | 1.00 | 1.00 |\n"
        "| `hadaptive_m` | 1.33 | 2.50 | 1.50 | - | 2.00 | 2.00 |\n"
    )
    assert ratios_table(ROWS[:1]) == ""


def test_the_table_of_targets():
    table = targets_table(ROWS)
    assert table.splitlines()[2:] == [
        "| `hadaptive_s` to `mobilenetv3_small` | 1.4 | 0.91 | 2.00 | 2.00 | - | - | 1.25 |",
        "| `hadaptive_m` to `hadaptive_s` | 2.2 | 1.33 | 2.50 | 1.50 | - | 2.00 | 2.00 |",
    ]
    names = [f"hadaptive_{size}" for size in "sml"] + ["mobilenetv4_conv_small"]
    rows = [row(name, 1.0, onnxruntime=2.0) for name in [*names, "mobilenetv3_small"]]
    targets = [line.split(" | ")[:2] for line in targets_table(rows).splitlines()[2:]]
    assert targets == [
        ["| `hadaptive_s` to `mobilenetv4_conv_small`", "0.8"],
        ["| `hadaptive_s` to `mobilenetv3_small`", "1.4"],
        ["| `hadaptive_m` to `hadaptive_s`", "2.2"],
        ["| `hadaptive_l` to `hadaptive_s`", "4.0"],
    ]


def test_the_tool_writes_record_and_picture(run_here, tmp_path, capsys):
    out, picture = tmp_path / "latency.json", tmp_path / "latency.png"
    names = ["mobilenetv3_small", "hadaptive_s"]
    options = ("--networks", *names, "--detectors", "ssd_hadaptive_s_coco", "--forms", "eager")
    options += ("--runs", 2, "--turn", 1, "--out", out, "--picture", picture)
    threads = torch.get_num_threads()
    try:
        run_here("analysis/benchmark_latency.py", *options)
    finally:
        torch.set_num_threads(threads)
    record = json.loads(out.read_text())
    assert [entry["network"] for entry in record["networks"]] == names
    for entry in [*record["networks"], *record["detectors"]]:
        times = entry["milliseconds"]["eager"]
        assert 0 < times["min"] <= times["q1"] <= times["median"] <= times["q3"]
    small = record["networks"][0]
    assert (small["parameters"], small["macs"]) == (1_620_356, 55_588_800)
    assert (small["input"], small["difference"]) == ([3, 224, 224], {"eager": 0.0})
    assert record["detectors"][0]["input"] == [3, 320, 320]
    assert (record["runs"], record["turn"]) == (2, 1)
    assert record["cpu"]
    assert "onnxruntime" in record["versions"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert targets_table(record["networks"]) in printed
    assert latency_table(record["detectors"]) in printed
