"""Training original beside replaced, on a few images."""

import csv
import json

import numpy as np
import pytest


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("train", 400), ("test", 250)):
        np.savez(
            tmp_path / f"{name}.npz",
            images=rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
            labels=np.arange(count) % 100,
        )
    return tmp_path


def test_original_beside_replaced(data, run_here):
    out = data / "result.json"
    command = [
        "paper/train_replacement.py",
        data,
        "--out",
        out,
        "--fraction",
        0.5,
        "--batch-size",
        50,
    ]
    command += ["--epochs", 1, "--configs", "mobilenetv3_small_ach_9_10_cifar100", "--seeds"]
    run_here(*command, 0)
    first = json.loads(out.read_text())
    assert [run["variant"] for run in first["runs"]] == ["original", "replaced"]
    assert [run["parameters"] for run in first["runs"]] == [1620356, 1550936]
    # A second call keeps the first one's runs; the same seed gives the same losses.
    run_here(*command, 0, 1)
    second = json.loads(out.read_text())
    assert second["runs"][:2] == first["runs"]
    assert [entry["seeds"] for entry in second["summary"]] == [2, 2]
    rows = list(csv.DictReader(out.with_suffix(".csv").open()))
    assert len(rows) == 4
    again = data / "again.json"
    command[3] = again
    run_here(*command, 0)
    losses = [
        [run["losses"] for run in json.loads(p.read_text())["runs"][:2]] for p in (out, again)
    ]
    assert losses[0] == losses[1]
    command[3] = out
    command[5] = 1.0
    with pytest.raises(ValueError, match="other settings"):
        run_here(*command, 0)
