"""The times of operators in ONNX Runtime's profile."""

import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def test_times_of_operators(tmp_path, capfd):
    from mmhadaptive.analysis.onnx_profile import operator_times, overhead

    path = tmp_path / "model.onnx"
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["": 20]>
        g (float[N, 4, 6, 6] x) => (float[N, 4, 6, 6] y)
        <float[4, 4, 1, 1] w = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}>
        { a = Softsign(x)  b = Conv(a, w)  c = Softsign(b)  y = Sin(c) }
        """
    )
    onnx.save(model, path)
    times = operator_times(path, runs=10)
    assert times["Softsign"]["count"] == 2
    assert {"Conv", "Softsign", "Sin"} <= times.keys()
    assert list(tmp_path.iterdir()) == [path]
    entries = dict(Conv=dict(microseconds=3.0), Gemm=dict(microseconds=4.0))
    assert overhead(dict(entries, Add=dict(microseconds=1.0))) == 1 / 8
