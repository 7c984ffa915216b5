"""The record of a training in pieces."""

import csv
import json

import pytest
import torch


def make_run(folder, pieces, weight):
    """A work dir as tools/train.py leaves it; a piece is a list of logged entries."""
    for number, entries in enumerate(pieces):
        (folder / str(number) / "vis_data").mkdir(parents=True)
        (folder / str(number) / "run.json").write_text(json.dumps(dict(commit=f"c{number}")))
        lines = "\n".join(map(json.dumps, entries))
        (folder / str(number) / "vis_data" / "scalars.json").write_text(lines)
    for epoch in (2, 10):
        torch.save(dict(state_dict=dict(w=torch.full((2,), weight))), folder / f"epoch_{epoch}.pth")


def step(epoch, number, loss):
    return dict(epoch=epoch, step=number, loss=loss)


def test_pieces_are_joined_and_compared(tmp_path, run_here):
    first = [step(1, 1, 5.0), step(1, 2, 4.0), {"accuracy/top1": 10.0, "step": 1}, step(2, 3, 9.0)]
    second = [step(2, 3, 3.0), step(2, 4, 2.0), {"accuracy/top1": 20.129, "step": 2}]
    make_run(tmp_path / "pieces", [first, second], 1.0)
    make_run(tmp_path / "whole", [first[:3] + second], 1.0)
    make_run(tmp_path / "other", [first[:3] + second], 2.0)
    for other, same in (("whole", True), ("other", False)):
        out = tmp_path / "results" / f"{other}.json"
        options = ("--out", out, "--same-as", tmp_path / other)
        run_here("analysis/record_training.py", tmp_path / "pieces", *options)
        record = json.loads(out.read_text())
        assert record["same_as_other_run"] is same
    assert (record["epochs"], record["first_loss"], record["last_loss"]) == (2, 4.5, 2.5)
    assert record["last_top1"] == record["best_top1"] == 20.129
    assert [piece["commit"] for piece in record["pieces"]] == ["c0", "c1"]
    rows = list(csv.DictReader(out.with_suffix(".csv").open()))
    assert [list(row.values()) for row in rows] == [
        ["1", "4.5000", "10"],
        ["2", "2.5000", "20.13"],
    ]
    assert out.with_suffix(".png").stat().st_size > 1000


def test_the_metric_of_a_detector(tmp_path, run_here):
    validations = [{"coco/bbox_mAP": 0.25, "step": 1}, {"coco/bbox_mAP": 0.125, "step": 2}]
    make_run(tmp_path / "run", [[step(1, 1, 5.0), step(2, 2, 4.0), *validations]], 1.0)
    out = tmp_path / "record.json"
    options = ("--out", out, "--metric", "coco/bbox_mAP")
    run_here("analysis/record_training.py", tmp_path / "run", *options)
    record = json.loads(out.read_text())
    assert (record["last_bbox_mAP"], record["best_bbox_mAP"]) == (0.125, 0.25)
    lines = out.with_suffix(".csv").read_text().splitlines()
    assert lines == ["epoch,loss,bbox_mAP", "1,5.0000,0.25", "2,4.0000,0.125"]


def test_weights_of_the_best_epoch_in_half_precision(tmp_path, run_here):
    make_run(tmp_path / "run", [[step(1, 1, 5.0)]], 1.0)
    state = dict(
        w=torch.full((2,), 1 / 3), variance=torch.tensor([1e6]), steps=torch.tensor(70_000)
    )
    meta = dict(cfg="", dataset_meta=dict(classes=("a", "b")), epoch=7, seed=0)
    best = tmp_path / "run" / "best_accuracy_top1_epoch_7.pth"
    torch.save(dict(state_dict=state, meta=meta, optimizer={}), best)
    out = tmp_path / "results" / "net_v1.5"
    run_here("analysis/record_training.py", tmp_path / "run", "--out", f"{out}.json", "--weights")
    assert {path.name for path in out.parent.iterdir()} == {
        f"net_v1.5{suffix}" for suffix in (".csv", ".json", ".png", ".pth")
    }
    published = torch.load(f"{out}.pth", weights_only=True)
    assert published.keys() == {"meta", "state_dict"}
    assert published["meta"] == dict(cfg="", dataset_meta=meta["dataset_meta"], epoch=7)
    assert published["state_dict"]["w"].dtype == torch.float16
    # Beyond float16's range, and no floating point number at all.
    assert torch.equal(published["state_dict"]["variance"], state["variance"])
    assert torch.equal(published["state_dict"]["steps"], state["steps"])


def test_weights_of_a_run_without_a_best_epoch_are_refused(tmp_path, run_here):
    make_run(tmp_path / "run", [[step(1, 1, 5.0)]], 1.0)
    with pytest.raises(FileNotFoundError, match="0 best_accuracy_top1_epoch"):
        run_here(
            "analysis/record_training.py",
            tmp_path / "run",
            "--out",
            tmp_path / "s.json",
            "--weights",
        )


def test_a_folder_without_a_run_is_refused(tmp_path, run_here):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        run_here("analysis/record_training.py", tmp_path, "--out", tmp_path / "x.json")
    assert not list(tmp_path.iterdir())
