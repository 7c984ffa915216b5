"""Tables of records that tools wrote."""

import json

from mmhadaptive.analysis.images_per_second import images_table
from mmhadaptive.analysis.replaced import trained_table
from mmhadaptive.analysis.results import results_table
from mmhadaptive.analysis.speed import bandwidth_table, benchmarks_table, speed_table

from ..paths import DOCS


def last_row(table):
    return [cell.strip() for cell in table.splitlines()[-1].strip("|").split("|")]


def test_images_a_second():
    row = dict(stock_input=1481.2, stock_training=41.0, in_memory_input=68788.4)
    row |= dict(size=32, in_memory_training=47.5, network=50.0)
    expected = ["32", "1,481", "68,788", "41 (82 %)", "48 (95 %)", "50"]
    assert last_row(images_table([row])) == expected


def test_trainings_of_the_original_and_of_the_replaced_network():
    entry = dict(config="net", parameters=1_620_356, top1_mean=14.625, top1_spread=1.04)
    entry |= dict(variant="original", top5_mean=39.97, last_loss_mean=3.5853)
    other = dict(entry, variant="replaced", parameters=1_550_936, top1_mean=15.5)
    expected = ["`net`", "1.620 → 1.551", "14.62 ± 1.04 → 15.50 ± 1.04", "39.97 → 39.97"]
    # Whatever the order.
    for summary in ([entry, other], [other, entry]):
        assert last_row(trained_table(summary)) == [*expected, "3.585 → 3.585"]


def test_a_record_joins_the_row_of_the_figure_of_its_config(tmp_path):
    (tmp_path / "results").mkdir()
    for name in ("ssd_hadaptive_s_coco", "mine"):
        record = dict(metrics={"coco/bbox_mAP": 0.1234})
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(record))
    rows = results_table(tmp_path).splitlines()
    link = "[ssd_hadaptive_s_coco](results/ssd_hadaptive_s_coco.json)"
    assert f"| Table 6, COCO: `ssd_hadaptive_s_coco`, box AP | 22.1 | 12.34 | {link} |" in rows
    assert "| Table 6, COCO: `ssd_hadaptive_s_coco`, mIoU | 72.4 | - | - |" in rows
    assert "| `mine`, box AP | - | 12.34 | [mine](results/mine.json) |" in rows
    assert "| Table 5, CIFAR-100: `starnet_s1, original`, Top 1 Accuracy | 71.84 | - | - |" in rows


def test_what_was_learnt_by_heart():
    """Assignment, losses and decoding agree: SSD on S knows its 128 training pictures."""
    record = json.loads((DOCS / "results" / "ssd_hadaptive_s_coco256.json").read_text())
    assert record["metrics"]["coco/bbox_mAP_50"] >= 0.6
    training = json.loads((DOCS / "results" / "ssd_hadaptive_s_coco256_training.json").read_text())
    assert training["last_loss"] < training["first_loss"] / 10


def test_the_slowest_cases(tmp_path):
    fast = dict(batch=8, eager_forward=9.0, auto_forward=1.0, eager_both=12.0, auto_both=3.0)
    rows = [fast, dict(fast, auto_forward=2.0), dict(fast, batch=1, auto_both=6.0)]
    (tmp_path / "layers-a.json").write_text(json.dumps(dict(rows=rows)))
    assert last_row(speed_table(tmp_path)) == ["[layers-a](layers-a.md)", "4.50", "4.00"]
    first = dict(copy=20e9, auto_forward=10e9, backward=6e9)
    rows = [first, dict(first, copy=25e9)]
    (tmp_path / "memory-a.json").write_text(json.dumps(dict(rows=rows)))
    expected = ["[memory-a](memory-a.md)", "20 to 25", "40 to 50", "24 to 30"]
    assert last_row(bandwidth_table(tmp_path)) == expected


def test_what_a_benchmark_is_of(tmp_path):
    rows = [dict(network=name, input=224, batch=batch) for name in "SL" for batch in (1, 8)]
    record = dict(device="a CPU", dtype="float32", rows=rows)
    (tmp_path / "layers-a.json").write_text(json.dumps(record))
    expected = ["[layers-a](layers-a.md)", "a CPU", "float32", "S, L", "224", "1, 8"]
    assert last_row(benchmarks_table(tmp_path)) == expected
    (tmp_path / "model-a.json").write_text(json.dumps(dict(record, rows=[dict(products="auto")])))
    assert last_row(benchmarks_table(tmp_path))[3:] == ["-", "-", "-"]
