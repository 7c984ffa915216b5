"""Tables of records that tools wrote."""

from mmhadaptive.analysis.images_per_second import images_table
from mmhadaptive.analysis.replaced import trained_table


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
