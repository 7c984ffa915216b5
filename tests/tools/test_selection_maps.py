"""Maps of the demo's detector and of a classifier from memory, and curves of a training."""

import csv
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmhadaptive.io.user_errors import UserError

from ..analysis.test_selection_log import line, write
from ..paths import CONFIGS

TOOL = "analysis/selection_maps.py"


def random_checkpoint(cfg, path):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), path)
    return path


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.filterwarnings("error:.*worker:UserWarning")
def test_a_detector(digits_config, tmp_path, run_here, capsys, monkeypatch):
    pytest.importorskip("mmcv._ext", reason="mmcv has no operators")
    monkeypatch.chdir(tmp_path)
    checkpoint = random_checkpoint(Config.fromfile(digits_config), tmp_path / "random.pth")
    out, record = tmp_path / "maps" / "digits", tmp_path / "record.json"
    run_here(
        *(TOOL, digits_config, checkpoint, "--out", out, "--pictures", 6),
        *("--layers", r"stages\.3\.1", "--record", record),
    )
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    layers = json.loads(record.read_text())["layers"]
    assert len(layers) == 6
    assert all(layer["groupings"] == 99 for layer in layers.values())
    printed = capsys.readouterr().out
    assert all(name in printed for name in layers)
    # Every picture chooses a channel at every rank.
    counts = {}
    for row in rows_of(out.with_suffix(".csv")):
        key = row["layer"], row["rank"]
        counts[key] = counts.get(key, 0) + int(row["count"])
    assert set(counts.values()) == {6}
    assert len(counts) == sum(layer["selected"] for layer in layers.values())
    by_class = {}
    for row in rows_of(out.parent / "digits_classes.csv"):
        key = row["layer"], row["class"], int(row["pictures"])
        by_class[key] = by_class.get(key, 0) + int(row["count"])
    assert all(
        count == pictures * layers[layer]["selected"]
        for (layer, _, pictures), count in by_class.items()
    )

    with pytest.raises(UserError, match="--layers neck: the layers are backbone"):
        run_here(TOOL, digits_config, checkpoint, "--out", tmp_path / "no", "--layers", "neck")
    assert not list(tmp_path.glob("no*"))


def test_a_classifier_from_memory(few_images, tmp_path, run_here, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = CONFIGS / "classification" / "cifar100" / "hadaptive_s_cifar100_10pct_32px.py"
    cfg = Config.fromfile(name)
    checkpoint = random_checkpoint(cfg, tmp_path / "random.pth")
    (few_images / "test.npz").write_bytes((few_images / "train.npz").read_bytes())
    root = f"test_dataloader.dataset.data_root={few_images}"
    out, record = tmp_path / "cifar", tmp_path / "record.json"
    run_here(
        TOOL,
        name,
        checkpoint,
        "--out",
        out,
        "--record",
        record,
        "--untrained",
        "--cfg-options",
        root,
    )
    report = json.loads(record.read_text())
    assert (report["pictures"], report["classes"]) == (23, 100)
    # The checkpoint has the random weights of the same seed.
    for layer in report["layers"].values():
        untrained = layer.pop("untrained")
        assert untrained == layer
    # Not even the Runner's own files.
    assert {path.name for path in tmp_path.iterdir()} == {
        *("random.pth", "record.json", "cifar.png", "cifar.csv", "cifar_classes.csv")
    }
    # The labels are 0 to 22.
    classes = {row["class"] for row in rows_of(tmp_path / "cifar_classes.csv")}
    assert len(classes) == 23
    assert {row["pictures"] for row in rows_of(tmp_path / "cifar_classes.csv")} == {"1"}


def test_a_training(tmp_path, run_here):
    write(tmp_path / "work", "1", f"{line(10, 4.0)}\n{line(20, 3.9, None)}\n")
    run_here(TOOL, "--training", tmp_path / "work", "--out", tmp_path / "t")
    assert (tmp_path / "t_training.png").read_bytes().startswith(b"\x89PNG")
    first, second = rows_of(tmp_path / "t_training.csv")
    assert list(first.values()) == ["ach", "10", "1", "8", "4.0", "1.5", "0.5"]
    assert second["entropy"] == ""
    with pytest.raises(UserError, match="AdaptTemperatureHook"):
        run_here(TOOL, "--training", tmp_path / "nothing", "--out", tmp_path / "t")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs CONFIG and CHECKPOINT, or --training"),
        (("config.py",), "needs CONFIG and CHECKPOINT"),
        (("config.py", "c.pth", "--pictures", 1), "at least 2"),
        (("--training", "w", "--record", "r.json"), "--record needs"),
        (("config.py", "c.pth", "--layers", "("), "--layers"),
    ],
)
def test_wrong_arguments_are_named(words, said, run_here, capsys):
    with pytest.raises(SystemExit):
        run_here(TOOL, *words, "--out", "o")
    assert said in capsys.readouterr().err
