"""Tables of records that tools wrote."""

import json

from mmhadaptive.analysis.images_per_second import images_table
from mmhadaptive.analysis.replaced import trained_table
from mmhadaptive.analysis.results import results_table


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
