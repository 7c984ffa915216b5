"""Counts of BERT are those of the record, which has every row of Table 13."""

import json

import pytest

pytest.importorskip("transformers")
from mmhadaptive.analysis.bert import bert_complexity, bert_table

from ..paths import CONFIGS, RESULTS


def test_a_bert():
    entry = bert_complexity(CONFIGS / "glue" / "bert_6_ach_sst2.py", 128)
    assert entry in json.loads((RESULTS / "bert.json").read_text())["bert"]
    row = bert_table([entry]).splitlines()[-1]
    assert row.startswith("| `bert_6_ach_sst2` | 768 → 2043 | 764 → 2043 | ")


def test_the_record_has_every_row_of_table_13():
    rows = {row["config"]: row for row in json.loads((RESULTS / "bert.json").read_text())["bert"]}
    assert len(rows) == 6
    for depth in (6, 12):
        kinds = ("ffn_fixed", "ach", "ffn")
        fixed, ach, ffn = (rows[f"bert_{depth}_{kind}_sst2"] for kind in kinds)
        # ACH is wider than the fixed channels, and cheaper than the FFN.
        for key in ("channels", "parameters", "macs"):
            assert fixed[key] < ach[key] < ffn[key]
        for row in (fixed, ach, ffn):
            paper = [768 if each == 764 else each for each in row["paper_channels"]]
            assert row["channels"] == paper
