"""Detectors with RTMDet's head: the record is current, and they are as small as their peers."""

import json

import pytest

from mmhadaptive.analysis.detectors_today import CONFIGS, PEERS, count_today, today_table

from ..paths import ROOT

PUBLISHED = {name: (float(parameters), float(macs)) for name, _, parameters, macs, *_ in PEERS}


@pytest.fixture(scope="module")
def counted():
    names = []
    found = {entry["config"]: entry for entry in count_today(names.append)}
    assert tuple(names) == tuple(found) == CONFIGS
    return found


@pytest.mark.parametrize(
    ("name", "peer"), [("s_coco", "PicoDet-S"), ("m_coco", "NanoDet-Plus-m-1.5x")]
)
def test_no_larger_than_the_peer(counted, name, peer):
    entry = counted[f"rtmdet_hadaptive_{name}"]
    parameters, macs = PUBLISHED[peer]
    assert entry["input"] == [3, 320, 320]
    assert 0.9 * parameters < entry["parameters"] / 1e6 <= parameters
    assert 0.9 * macs < entry["macs"] / 1e9 <= macs


def test_smaller_than_with_the_stock_neck(counted):
    ours, stock = (counted[f"rtmdet_hadaptive_s{neck}_coco"] for neck in ("", "_cspnext"))
    assert ours["parameters"] < stock["parameters"]
    assert ours["macs"] < stock["macs"]


def test_the_record_is_current(counted):
    record = json.loads((ROOT / "docs" / "results" / "detectors_today.json").read_text())
    assert record["detectors"] == list(counted.values())


def test_the_table():
    entry = dict(config="rtmdet_hadaptive_s_640_coco", input=[3, 640, 640])
    lines = today_table([dict(entry, parameters=1_234_567, macs=3.456e9)]).splitlines()[2:]
    assert [line.split(" | ")[1] for line in lines] == ["320"] * 4 + ["640"] * 2
    assert lines[4] == "| `rtmdet_hadaptive_s_640_coco` | 640 | 1.23 | 3.46 | - |"
    assert lines[1].startswith("| [PicoDet-S](https://")
    assert lines[1].endswith(" | 320 | 1.18 | 0.97 | 29.1 |")
