"""The speeds that docs/benchmarks/README.md names are those of the result files beside it."""

import json

from tests.paths import DOCS

FOLDER = DOCS / "benchmarks"


def rows_of(name, batch=None):
    rows = json.loads((FOLDER / f"{name}.json").read_text())["rows"]
    return [row for row in rows if batch in (None, row.get("batch"))]


def speed_up(row, kind):
    return row[f"eager_{kind}"] / row[f"auto_{kind}"]


def test_speeds_named_in_the_text():
    text = " ".join((FOLDER / "README.md").read_text().split())
    layers = rows_of("layers-cpu-float32", batch=8)
    slowest, *others = sorted(layers, key=lambda row: speed_up(row, "both"))
    assert (slowest["network"], slowest["extent"], slowest["channels_last"]) == ("L", 3, False)
    assert f"together are {speed_up(slowest, 'both'):.2f} times" in text
    assert f"reaches {speed_up(others[0], 'both'):.2f} times or more at batch 8" in text
    forward = min(speed_up(row, "forward") for row in layers)
    assert f"the forward {forward:.2f} times or more" in text

    memory = rows_of("memory-cpu-float32")
    for kind, sentence in (
        ("backward", "the backward reaches {} to {} % of a copy"),
        ("auto_forward", "The forward reaches {} to {} %"),
    ):
        parts = [round(100 * row[kind] / row["copy"]) for row in memory]
        assert sentence.format(min(parts), max(parts)) in text
    copies = [round(row["copy"] / 1e9) for row in memory]
    assert f"copies {min(copies)} to {max(copies)} GB/s" in text

    forward = min(speed_up(row, "forward") for row in rows_of("layers-cpu-bfloat16"))
    assert f"slowest forward is {forward:.2f} times" in text
