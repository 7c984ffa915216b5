"""The data pipelines that are compared, the clock, and the tool that writes the record."""

import itertools
import json
import time

import pytest

from mmhadaptive.analysis.images_per_second import (
    CONFIGS,
    batches_of,
    batches_per_second,
    build_input,
)


@pytest.mark.parametrize("pipeline", CONFIGS)
def test_a_pipeline_gives_the_size_and_begins_anew(pipeline, few_images):
    # 23 images are two batches of 8.
    batches = batches_of(*build_input(pipeline, 40, str(few_images), 8, workers=1))
    for batch in itertools.islice(batches, 3):
        assert batch["inputs"].shape == (8, 3, 40, 40)
        assert batch["inputs"].is_floating_point()
        # A sample an image, or one for all.
        assert sum(len(sample.gt_label) for sample in batch["data_samples"]) == 8
    batches.close()


def test_the_first_batches_do_not_count(monkeypatch):
    clock, used = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def use(batch):
        used.append(batch)
        clock[0] += 100.0 if len(used) <= 2 else 0.5

    assert batches_per_second(itertools.count(), use, warm_up=2, seconds=1.8) == 2.0
    assert used == list(range(2 + 4))


def test_the_tool_writes_a_row_a_size(few_images, run_here, tmp_path, capsys):
    out = tmp_path / "pipelines.json"
    options = ("--data-root", few_images, "--batch-size", 8, "--workers", 1, "--sizes", 32)
    run_here("analysis/benchmark_data.py", *options, "--rounds", 1, "--seconds", 0.01, "--out", out)
    record = json.loads(out.read_text())
    (row,) = record["images_per_second"]
    names = {f"{name}_{what}" for name in CONFIGS for what in ("input", "training")}
    assert row.keys() == {"size", "network"} | names
    assert row["size"] == 32
    assert all(rate > 0 for rate in row.values())
    assert (record["batch_size"], record["stock_workers"]) == (8, 1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 32 | ")
