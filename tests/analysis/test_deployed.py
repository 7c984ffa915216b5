"""Tables of frozen and quantised networks, from records of made-up numbers."""

import json

from mmhadaptive.analysis.deployed import frozen_table, int8_table


def write(folder, name, **record):
    folder = folder / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record))


def test_frozen(tmp_path):
    shares = dict(pictures=9, by_set=0.5, by_rank=0.125, by_chance=0.25)
    write(
        tmp_path, "frozen_a", **shares, before={"coco/bbox_mAP": 0.5}, after={"coco/bbox_mAP": 0.4}
    )
    write(tmp_path, "frozen_b", **shares, before={}, after={})
    first, second = frozen_table(tmp_path).splitlines()[2:]
    assert first == (
        "| [a](results/frozen_a.json) | 9 | 50.0 | 25.0 | 12.5 | box AP | 50.00 | 40.00 |"
    )
    assert second.endswith("| - | - | - |")


def test_int8_says_where_it_is_slower(tmp_path):
    for name, median in (("fast", 1.0), ("slow", 4.0)):
        write(
            tmp_path,
            f"int8_{name}",
            before={"accuracy/top1": 20.5},
            after={"accuracy/top1": 20.25},
            bytes=dict(float32=4_000_000, int8=2_000_000),
            latency=dict(float32=dict(median=2.0), int8=dict(median=median)),
        )
    fast, slow = int8_table(tmp_path).splitlines()[2:]
    assert fast.endswith("| Top 1 Accuracy | 20.50 | 20.25 | 4.0 → 2.0 | 2.00 | 1.00 | 0.50 |")
    assert slow.endswith("| 2.00 | 4.00 | 2.00, slower |")
