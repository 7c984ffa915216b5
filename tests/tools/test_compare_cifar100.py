"""The comparison on CIFAR-100 by its command."""

import json

import pytest

from mmhadaptive.analysis import runs

from ..nas.toys import write_images


def test_one_command_trains_and_records(tmp_path, run_here, monkeypatch):
    images = write_images(tmp_path, train=12, test=4)
    monkeypatch.setattr(
        runs.train_all, "__defaults__", (lambda *words: run_here(*map(str, words)),)
    )
    small = ["train_dataloader.batch_size=4", "train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
    small += ["data_preprocessor.size=32", "log_level=ERROR", "default_hooks.logger.interval=1"]
    record = tmp_path / "comparison.json"
    command = ["paper/compare_cifar100.py", images, tmp_path / "runs", "--seeds", 0]
    run_here(*command, "--only", "64px_ghost", "--out", record, "--cfg-options", *small)
    (run,) = json.loads(record.read_text())["runs"]
    assert run["config"] == "hadaptive_s_cifar100_64px_ghost"
    assert [epoch for epoch, _, _ in run["curve"]] == [1]
    assert record.with_suffix(".png").stat().st_size > 1000
    assert not record.with_name("comparison_ablations.png").exists()
    with pytest.raises(Exception, match=r"no run has any of \['nothing'\] in its name"):
        run_here(*command, "--only", "nothing", "--cfg-options", *small)
