"""What a search leaves: tables, pictures, and a config that trains."""

import csv
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image

from mmhadaptive.analysis.complexity import config_complexity
from mmhadaptive.engine.launch import build_runner
from mmhadaptive.nas import choices

from .toys import ARCH, BASE, search, search_config, write_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def searched(folder, tmp_path_factory):
    """The runner of a search of two epochs, the second of them in another run."""
    work_dir = tmp_path_factory.mktemp("search")
    hook = dict(type="TimedCheckpointHook", stop_seconds=0, interval=7)
    search(search_config(folder, work_dir, **{"default_hooks.timed_checkpoint": hook}))
    return search(search_config(folder, work_dir, resume=True))


def test_the_table_is_that_of_the_logits(searched):
    folder = searched.work_dir
    with open(f"{folder}/confidence.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["arch[0][0]", "arch[1][0]", "arch[1][1]", "final"]
    assert [int(row["channels"]) for row in rows] == [8, 12, 12, 16]
    columns = ["ghost 2-2", "ach 4-2 DySig", "Ghost", "ACH", "Blank"]
    assert set(columns) <= set(rows[0])
    for row, choice in zip(rows[1:3], choices(searched.model), strict=True):
        for name, value in zip(choice.names, choice.confidence.tolist(), strict=True):
            assert float(row[name]) == pytest.approx(value)
        assert all(not row[name] for name in columns if name not in choice.names)
    lines = Path(folder, "confidence.md").read_text().splitlines()
    assert lines[2].startswith("| <u>8</u> | - | - | -")
    assert lines[4].count("**") == 2


def test_the_history_has_all_epochs_of_a_resumed_search(searched):
    with open(f"{searched.work_dir}/confidence_history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1"] * 5 + ["2"] * 5
    last = [float(row["confidence"]) for row in rows[5:]]
    expected = [value for choice in choices(searched.model) for value in choice.confidence.tolist()]
    assert last == pytest.approx(expected)
    assert [float(row["confidence"]) for row in rows[:5]] != last


@pytest.mark.parametrize("name", ["confidence", "entropy"])
def test_pictures(searched, name):
    with Image.open(f"{searched.work_dir}/{name}.png") as picture:
        assert min(picture.size) > 200
        assert len(picture.convert("RGB").getcolors(10**6)) > 20


def test_the_derived_config_is_the_likeliest_network(searched):
    cfg = Config.fromfile(f"{searched.work_dir}/searched.py")
    table = [[tuple(row) for row in rows] for rows in cfg.model.backbone.arch]
    assert table[0] == ARCH[0]
    first = [tuple(row) for row in ARCH[1][0]][choices(searched.model)[0].alpha.argmax()]
    second = [*ARCH[1][1].values()][choices(searched.model)[1].alpha.argmax()]
    assert table[1] == [row for row in (first, tuple(second)) if row[0] != "blank"]
    counts = config_complexity(cfg, (224, 224))
    assert (cfg.parameters, cfg.macs) == (counts["parameters"], counts["macs"])


def test_the_derived_config_trains(searched, folder, tmp_path):
    cfg = Config.fromfile(f"{searched.work_dir}/searched.py")
    cfg.data_preprocessor.size = 32
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.dataset.data_root = str(folder)
        loader.batch_size = 8
    cfg.merge_from_dict(
        dict(work_dir=str(tmp_path), launcher="none", log_level="ERROR", param_scheduler=[])
    )
    cfg.train_cfg.max_epochs = 1
    build_runner(cfg).train()
    (scalars,) = tmp_path.glob("*/vis_data/scalars.json")
    assert json.loads(scalars.read_text().splitlines()[-1])["accuracy/top1"] >= 0
    assert (tmp_path / "epoch_1.pth").exists()


def test_a_base_with_another_backbone_is_refused(folder, tmp_path):
    base = BASE.replace("hadaptive_s", "mobilenetv3_small")
    cfg = search_config(folder, tmp_path, **{"default_hooks.search_result.train_config": base})
    with pytest.raises(ValueError, match=r"a HadaptiveNet as its backbone, got MobileNetV3"):
        search(cfg)
