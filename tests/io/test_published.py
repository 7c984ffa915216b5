"""The figures of the paper, as the metafiles have them."""

import subprocess
import sys
from decimal import Decimal

import pytest
import yaml

from mmhadaptive.io import model_index
from mmhadaptive.io.published import published_figures

from ..paths import ROOT

CIFAR, IMAGENET = "CIFAR-100", "ImageNet-1k"


def figures(source, **conditions):
    """The figures of a table by the name of the config."""
    found = [figure for figure in published_figures() if figure.source == source]
    return {
        figure.name: figure
        for figure in found
        if all(getattr(figure, key) == value for key, value in conditions.items())
    }


def top1(source, **conditions):
    return {
        name: figure.metrics["Top 1 Accuracy"]
        for name, figure in figures(source, **conditions).items()
    }


def test_every_figure_belongs_to_a_config():
    for figure in published_figures():
        path = ROOT / figure.config
        assert path.is_file()
        assert path.stem == figure.name
        assert figure.metrics or figure.parameters, figure


def test_table_7():
    rows = figures("Table 7", dataset=CIFAR)
    assert len(rows) == len(figures("Table 7", dataset=IMAGENET)) == 19
    # From the smallest network to the largest, as in the paper.
    sizes = [figure.parameters for figure in rows.values()]
    assert sizes == sorted(sizes)
    ours = rows["hadaptive_m_cifar100"]
    assert (ours.parameters, ours.flops) == (3_090_000, 339_000_000)
    assert ours.latency == dict(GPU=5.26, CPU=39.81, Mobile=6.47)
    assert ours.metrics == {"Top 1 Accuracy": 74.10}
    assert top1("Table 7", dataset=IMAGENET)["mobilenetv4_conv_large_imagenet"] == 82.92
    other = {name for name, figure in rows.items() if figure.classes != 100}
    assert {name.partition("_")[0] for name in other} == {
        *("mobileone", "shufflenetv2", "ghostnetv3"),
    }
    assert [name for name, figure in rows.items() if not figure.merged] == [
        "ghostnetv3_100_cifar100"
    ]


def test_counts_keep_the_digits_that_were_printed():
    parameters = figures("Table 7", dataset=CIFAR)["hadaptive_s_cifar100"].parameters
    assert Decimal(2_101_992).quantize(parameters) == parameters
    assert Decimal(2_105_001).quantize(parameters) != parameters
    timm = figures("timm")["mobilenetv4_conv_large_cifar100"]
    assert (str(timm.flops), timm.classes, timm.input_size) == ("2.86E+9", 1000, 256)


def test_ablations():
    prefix = "hadaptive_s_cifar100_"
    assert top1("Fig. 3") == {
        f"{prefix}no_pointwise": 71.96,
        f"{prefix}fixed_channels": 69.27,
        f"{prefix}static_scores": 69.12,
        f"{prefix}bn": 64.39,
    }
    assert top1("Table 1") == {
        f"{prefix}dysoft": 73.57,
        f"{prefix}dysig": 73.14,
        f"{prefix}dyalge": 72.80,
    }


def test_replaced_blocks():
    blocks = {"0": 69.74, "1": 69.74, "8": 70.38, "9": 69.89, "10": 71.03}
    expected = {f"mobilenetv3_small_ach_{key}_cifar100": value for key, value in blocks.items()}
    assert top1("Table 2", original=False) == expected
    assert set(top1("Table 2", original=True).values()) == {70.01}
    before, after = (
        [(f.parameters, f.flops, *f.metrics.values()) for f in figures(table, original=o).values()]
        for table, o in (("Table 5", True), ("Table 5", False))
    )
    assert before == [
        (1_610_000, 123_000_000, 70.01),
        (2_620_000, 385_000_000, 73.15),
        (1_360_000, 303_000_000, 65.89),
        (2_680_000, 854_000_000, 71.84),
    ]
    assert [row[0] for row in after] == [1_550_000, 2_980_000, 1_280_000, 2_560_000]
    small = figures("Table 8", original=True)["mobilevit_small_ach_cifar100"]
    assert (small.parameters, small.flops) == (4_550_000, 2_879_000_000)
    assert small.metrics == {"Top 1 Accuracy": 71.70, "Top 5 Accuracy": 92.16}


def test_table_6():
    metrics = {name: figure.metrics for name, figure in figures("Table 6").items()}
    assert metrics["ssd_hadaptive_l_coco"] == {"box AP": 23.2, "mIoU": 73.4}
    assert metrics["ssd_ghostnetv3_100_coco"] == {"box AP": 22.7, "mIoU": 72.8}
    assert len(metrics) == 6


def test_table_13():
    """Its rows in the paper's order, with the channels as they were printed."""
    printed = {
        "6_ffn_fixed": (764, 764, 64.7, 36.7),
        "6_ach": (764, 2043, 76.2, 41.8),
        "6_ffn": (764, 2048, 80.3, 46.7),
        "12_ffn_fixed": (764, 764, 53.1, 34.3),
        "12_ach": (764, 2043, 75.9, 41.2),
        "12_ffn": (764, 2048, 80.6, 45.5),
    }
    for column, (task, dataset) in enumerate([("sst2", "SST-2"), ("mnli_10pct", "MNLI-10%")], 2):
        rows = figures("Table 13", dataset=dataset)
        assert list(rows) == [f"bert_{row}_{task}" for row in printed]
        for row, values in zip(rows.values(), printed.values(), strict=True):
            channels = {"In-Out-Channel": values[0], "Mid-Channel": values[1]}
            assert (row.channels, row.parameters) == (channels, None)
            assert row.metrics == {"Top 1 Accuracy": values[column]}


def test_a_count_without_a_unit_is_named(tmp_path, monkeypatch):
    (tmp_path / "model-index.yml").write_text("Import: [metafile.yml]")
    model = dict(Name="net", Config="net.py", Results=[dict(Dataset="d", Metrics={})])
    model["Metadata"] = dict(Source="Table 7", Parameters=2.1)
    (tmp_path / "metafile.yml").write_text(yaml.safe_dump(dict(Models=[model])))
    monkeypatch.setattr(model_index, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"metafile\.yml, net: a count is .*not 2\.1"):
        published_figures()


def test_neither_mmdet_nor_mmpretrain_is_imported():
    script = (
        "import sys; from mmhadaptive.io.published import published_figures; published_figures();"
        "assert not {'mmdet', 'mmpretrain', 'mmcv'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
