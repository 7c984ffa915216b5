"""Counts of BERT are those of the record, and parameters those of Table 13's widths."""

import json

import pytest

pytest.importorskip("transformers")
from mmhadaptive.analysis.bert import bert_complexity, bert_table
from mmhadaptive.models.bert import FEED_FORWARDS

from ..paths import RESULTS


def record():
    return json.loads((RESULTS / "bert.json").read_text())["bert"]


def test_a_bert():
    entry = bert_complexity(6, "ach", 128)
    assert entry in record()
    assert bert_table([entry]).splitlines()[-1].startswith("| 6 | `ach` | 2043 | ")


def test_the_record_has_every_row_of_table_13():
    rows = {(entry["layers"], entry["feed_forward"]): entry for entry in record()}
    assert rows.keys() == {(depth, kind) for depth in (6, 12) for kind in FEED_FORWARDS}
    for depth in (6, 12):
        # ACH is wider than the fixed channels, and cheaper than the FFN.
        fixed, ach, ffn = (rows[depth, kind] for kind in ("ffn_fixed", "ach", "ffn"))
        for key in ("width", "parameters", "macs"):
            assert fixed[key] < ach[key] < ffn[key]
