"""The counter agrees with published figures and with closed formulas."""

import json

import pytest

from mmhadaptive.engine.complexity import complexity
from mmhadaptive.layers import AdaptiveCrossHadamard

from ..conftest import ROOT

RESULTS = ROOT / "docs" / "results"


def test_an_ach_layer_by_hand():
    layer = AdaptiveCrossHadamard(in_channels=8, num_selected=4).eval()
    pointwise, scores, products = 8 * 8 * 30, 8 * 5, 6 * 30
    assert complexity(layer, (8, 5, 6))["macs"] == pointwise + scores + products


@pytest.mark.parametrize(("arch", "parameters", "macs"), [("s", 2.102, 131.1)])
def test_one_config(run_tool, arch, parameters, macs):
    out = run_tool("get_flops.py", f"configs/classification/hadaptive_{arch}_cifar100.py").stdout
    counts = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.endswith(" M")}
    assert float(counts["parameters"]) == pytest.approx(parameters, rel=0.001)
    assert float(counts["macs"]) == pytest.approx(macs, rel=0.001)


def table_of(out):
    """The rows of a Markdown table without its two of heading."""
    return [line for line in out.splitlines() if line.startswith("| ")][2:]


def test_table_7(run_tool, tmp_path):
    out = run_tool("get_flops.py", "--table7", "--out", tmp_path / "record.json").stdout
    networks = json.loads((tmp_path / "record.json").read_text())["networks"]
    assert networks == json.loads((RESULTS / "complexity.json").read_text())["networks"]
    for network in networks:
        for row in network["published"]:
            millions = {name: count / 1e6 for name, count in row["ours"].items()}
            theirs = row["millions"]
            assert millions["parameters"] == pytest.approx(theirs["parameters"], rel=0.007)
            difference = theirs["macs"] - millions["macs"]
            if row["source"] == "timm":
                # Two decimals of a thousand million; timm's counter has normalisation too.
                assert -5.5 < difference < 5.5 + 2 * millions["activations"]
            else:
                tolerance = 0.03 if row["source"] == "mmpretrain" else 0.008
                assert abs(difference) < tolerance * theirs["macs"]
            if "activations" in theirs:
                assert millions["activations"] == pytest.approx(theirs["activations"], abs=0.02)
    documented = (ROOT / "docs" / "complexity.md").read_text().splitlines()
    rows = table_of(out)
    assert len(rows) == 19
    assert set(rows) <= set(documented)


def test_expansions_equal_their_formulas(run_tool, tmp_path):
    path = tmp_path / "record.json"
    out = run_tool("get_flops.py", "--sweeps", "--out", path, "--images", tmp_path).stdout
    record = json.loads(path.read_text())
    rows = record["width"] + record["ratio"]
    for row in rows:
        assert row["formula"] == dict(parameters=row["parameters"], macs=row["macs"]), row
    committed = json.loads((RESULTS / "expansion_sweeps.json").read_text())
    assert rows == committed["width"] + committed["ratio"]
    assert (tmp_path / "complexity_width.png").stat().st_size > 1000
    assert (tmp_path / "complexity_ratio.png").stat().st_size > 1000
    documented = (ROOT / "docs" / "complexity.md").read_text().splitlines()
    assert set(table_of(out)) <= set(documented)
