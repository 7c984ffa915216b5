"""The counter agrees with published figures and with closed formulas."""

import json
from decimal import Decimal

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmhadaptive.analysis.complexity import complexity
from mmhadaptive.analysis.detectors import detectors_table
from mmhadaptive.analysis.expansions import SWEEPS, sweep, sweep_table
from mmhadaptive.analysis.published import published_table
from mmhadaptive.io.published import published_figures
from mmhadaptive.layers import AdaptiveCrossHadamard

from ..paths import CONFIGS, RESULTS, ROOT
from .count_by_hooks import count_by_hooks


def test_an_ach_layer_by_hand():
    layer = AdaptiveCrossHadamard(in_channels=8, num_selected=4).eval()
    pointwise, scores, products = 8 * 8 * 30, 8 * 5, 6 * 30
    assert complexity(layer, (8, 5, 6))["macs"] == pointwise + scores + products


class Gated(nn.Module):
    """Every kind of operation that one of the two ways counts."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 8)
        self.last_norm = nn.LayerNorm(8)

    def forward(self, x):
        x = self.norm(self.conv(x)).relu()
        x = x * nn.functional.adaptive_avg_pool2d(x, 1)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return self.last_norm(self.linear(tokens.mean(1)))


def test_both_ways_of_counting_by_hand():
    counts = complexity(Gated().eval(), (3, 5, 6))
    conv, linear, attention = 30 * 8 * 27, 8 * 8, 2 * 30 * 30 * 8
    assert counts["macs"] == conv + linear + attention
    elements = 8 * 30
    # Those of the attention are inside of one operation.
    assert counts["activations"] == elements + 8
    norms, averages = 4 * (elements + 8), 2 * (elements + 8)
    assert counts["flops"] == 2 * (conv + linear + norms + averages)


def count_with_tool(run_here, tmp_path, *arguments):
    run_here("analysis/get_flops.py", *arguments, "--out", tmp_path / "record.json")
    return json.loads((tmp_path / "record.json").read_text())


def build(path):
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()


def test_one_config(run_here, tmp_path, capsys):
    config = "configs/classification/cifar100/hadaptive_s_cifar100.py"
    record = count_with_tool(run_here, tmp_path, ROOT / config)
    assert record["input"] == [3, 224, 224]
    assert record["parameters"] == pytest.approx(2.102e6, rel=0.001)
    assert record["macs"] == pytest.approx(131.1e6, rel=0.001)
    # Besides two a MAC, normalisations and averages; no products.
    assert 2.05 < record["flops"] / record["macs"] < 2.3
    assert "proposals" not in record
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line[0] in ("input", "macs", "flops")] == [
        ["input", "3 x 224 x 224"],
        ["macs", f"{record['macs'] / 1e6:.3f} M"],
        ["flops", f"{record['flops'] / 1e6:.3f} M"],
    ]


@pytest.mark.parametrize(
    ("config", "options", "size"),
    [
        ("detection/ssd_hadaptive_s_digits.py", [], [128, 128]),
        ("plugin/retinanet_r50_ach_coco.py", ["--size", 64, 96], [64, 96]),
    ],
)
def test_one_stage_detectors(run_here, tmp_path, config, options, size):
    path = CONFIGS / config
    record = count_with_tool(run_here, tmp_path, path, *options)
    assert record["input"] == [3, *size]
    model = build(path)
    expected = count_by_hooks(model, lambda: model(torch.zeros(1, 3, *size)))
    assert record["macs"] == expected
    assert record["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_a_two_stage_detector_has_all_its_proposals(run_here, tmp_path):
    config = tmp_path / "faster_rcnn.py"
    config.write_text(
        """
_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["mmhadaptive.models.backbones"])
model = dict(
    backbone=dict(_delete_=True, type="HadaptiveNet", arch="s", out_indices=(1, 2, 3, 4)),
    neck=dict(in_channels=[32, 64, 96, 128]),
    test_cfg=dict(rpn=dict(max_per_img=400)),
)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (90, 60)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
    )
    record = count_with_tool(run_here, tmp_path, config)
    # Padded to a multiple of 32.
    assert record["input"] == [3, 64, 96]
    # Suppression would leave fewer.
    assert record["proposals"] == 400
    model = build(config)
    image, regions = torch.zeros(1, 3, 64, 96), torch.zeros(400, 256, 7, 7)
    first = count_by_hooks(model, lambda: model.rpn_head(model.extract_feat(image)))
    second = count_by_hooks(model.roi_head, lambda: model.roi_head.bbox_head(regions))
    assert second == 400 * (1024 * (256 * 49 + 1024 + 81 + 80 * 4))
    assert record["macs"] == first + second


def test_sizes_that_the_tool_refuses(run_here, tmp_path, capsys):
    config = tmp_path / "sizeless.py"
    config.write_text("model = dict(type='ImageClassifier')")
    for arguments, message in (
        ([config], "sizeless.py has no size"),
        ([config, "--size", 1, 2, 3], "one or two numbers"),
        (["--sweeps", "--size", 224], "one or two numbers for a config"),
    ):
        with pytest.raises(SystemExit):
            run_here("analysis/get_flops.py", *arguments)
        assert message in capsys.readouterr().err


def test_table_6(run_here, tmp_path, capsys):
    record = count_with_tool(run_here, tmp_path, "--table6")
    assert record["detectors"] == json.loads((RESULTS / "detectors.json").read_text())["detectors"]
    assert detectors_table(record["detectors"]) in capsys.readouterr().out
    (entry,) = (e for e in record["detectors"] if e["config"] == "ssd_hadaptive_s_coco")
    model = build(CONFIGS / "detection" / "ssd_hadaptive_s_coco.py")
    assert entry["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_table_7(run_tool, tmp_path):
    out = run_tool("analysis/get_flops.py", "--table7", "--out", tmp_path / "record.json").stdout
    networks = json.loads((tmp_path / "record.json").read_text())["networks"]
    assert networks == json.loads((RESULTS / "complexity.json").read_text())["networks"]
    for network in networks:
        for row in network["published"]:
            millions = {name: count / 1e6 for name, count in row["ours"].items()}
            theirs = row["millions"]
            # The paper prints up to 1.2 % more than we count for MobileOne.
            tolerance = 0.012 if network["model"].startswith("mobileone") else 0.007
            assert millions["parameters"] == pytest.approx(theirs["parameters"], rel=tolerance)
            difference = theirs["macs"] - millions["macs"]
            if row["source"] == "timm":
                # Two decimals of a thousand million; timm's counter has normalisation too.
                assert -5.5 < difference < 5.5 + 2 * millions["activations"]
            else:
                tolerance = 0.03 if row["source"] == "mmpretrain" else 0.008
                assert abs(difference) < tolerance * theirs["macs"]
            if "activations" in theirs:
                assert millions["activations"] == pytest.approx(theirs["activations"], abs=0.02)
    assert published_table(networks) in out
    assert len(networks) == 19


@pytest.mark.parametrize("i", range(1, 5))
def test_starnets_are_as_printed_without_biases_of_convolutions(i):
    """The authors' StarNets have none; Table 7 counts for 100 classes."""
    timm = pytest.importorskip("timm")
    (printed,) = (
        f
        for f in published_figures()
        if f.source == "Table 7" and f.name == f"starnet_s{i}_cifar100"
    )
    model = timm.create_model(f"starnet_s{i}", num_classes=printed.classes)
    biases = [m.bias for m in model.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    count = sum(p.numel() for p in model.parameters()) - sum(bias.numel() for bias in biases)
    assert Decimal(count).quantize(printed.parameters) == printed.parameters


SMALL = [(16, 4), (96, 4), (64, 2), (64, 24)]


@pytest.mark.parametrize("row", [row for point in SMALL for row in sweep([point], extent=6)])
def test_expansions_equal_their_formulas(row):
    assert row["formula"] == {key: row[key] for key in ("parameters", "macs", "flops")}
    if row["expansion"] == "pointwise":
        return
    # The scores of the channels are no part of eq. 17.
    scores = 5 / (row["out_channels"] * 36) if row["expansion"] == "ach" else 0
    assert row["macs_ratio"] == pytest.approx(row["equation"] + scores, rel=1e-12)
    # The simplified equations hold where m is large: 9/m and 1/m are what they leave out.
    assert 0 < row["equation"] - row["simplified"] < (9 / 2) / row["in_channels"] + 1e-12


def test_sweeps_are_those_of_the_record(run_here, tmp_path, capsys, monkeypatch):
    committed = json.loads((RESULTS / "expansion_sweeps.json").read_text())
    assert committed["extent"] == 224
    points = {
        name: list(dict.fromkeys((row["in_channels"], row["ratio"]) for row in committed[name]))
        for name in SWEEPS
    }
    assert points == SWEEPS
    assert [points["width"][i][0] for i in (0, -1)] == [16, 512]
    assert [points["ratio"][i][1] for i in (0, -1)] == [4, 24]
    # The small ones; the rest takes a minute.
    monkeypatch.setitem(SWEEPS, "width", points["width"][:2])
    monkeypatch.setitem(SWEEPS, "ratio", points["ratio"][:1])
    record = count_with_tool(run_here, tmp_path, "--sweeps", "--images", tmp_path)
    rows = record["width"] + record["ratio"]
    assert rows == committed["width"][:6] + committed["ratio"][:3]
    assert (tmp_path / "complexity_width.png").stat().st_size > 1000
    assert (tmp_path / "complexity_ratio.png").stat().st_size > 1000
    assert sweep_table(rows) in capsys.readouterr().out
