"""docs/architecture_search.md, and the tools of the search."""

import json
import re

import numpy as np
import pytest
from mmengine.config import Config

import mmhadaptive.nas  # noqa: F401
from mmhadaptive.analysis import search_comparison
from mmhadaptive.analysis.search_step import search_costs_table
from mmhadaptive.io.checkpoint import load_checkpoint_file

from ..nas.toys import write_images
from ..paths import CONFIGS, DOCS

GUIDE = (DOCS / "architecture_search.md").read_text()
TRAINING, SEARCH = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
SMALL = ["train_dataloader.batch_size=4", "data_preprocessor.size=32", "train_cfg.max_epochs=1"]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The guide's two configs and its data, in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/mine").mkdir(parents=True)
    write_images(tmp_path / "data/mine", train=16, test=8)
    (tmp_path / "my_training.py").write_text(TRAINING)
    (tmp_path / "my_search.py").write_text(SEARCH)
    return tmp_path


def test_the_guide_searches_and_trains(mine, run_here):
    measure = "analysis/measure_candidates.py"
    run_here(measure, "my_search.py", "--out", "candidates.json", "--rounds", 2)
    rows = json.loads((mine / "candidates.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["arch[2][1]", "arch[3][1]", "arch[3][2]"]
    assert [*rows[1]["candidates"]] == ["Ghost", "ACH 12", "ACH 16", "Blank"]
    assert rows[1]["candidates"]["Blank"]["macs"] == 0
    assert rows[1]["candidates"]["ACH 12"]["macs"] < rows[1]["candidates"]["ACH 16"]["macs"]
    assert all(cost["milliseconds"] > 0 for cost in rows[1]["candidates"].values())

    options = re.findall(r"train_cfg\.penalty\.(?:weight|cost|table)=\S+", GUIDE)[-3:]
    assert options[2] == "train_cfg.penalty.table=candidates.json"
    run_here("train.py", "my_search.py", "--cfg-options", *SMALL, *options)
    work_dir = mine / "work_dirs" / "my_search"
    assert (work_dir / "confidence.md").read_text().startswith("| channels | ")
    searched = Config.fromfile(work_dir / "searched.py")
    assert searched.parameters > 0
    run_here(
        *("train.py", work_dir / "searched.py", "--work-dir", mine / "found"),
        *("--cfg-options", *SMALL, "val_dataloader.batch_size=4"),
    )
    state = load_checkpoint_file(mine / "found/epoch_1.pth")["state_dict"]
    assert not [name for name in state if "candidates" in name]


def test_costs_of_another_space_are_refused(mine, run_here):
    (mine / "costs.json").write_text(json.dumps(dict(rows=[])))
    options = ["weight=1", "cost=milliseconds", "table=costs.json"]
    with pytest.raises(ValueError, match=r"no milliseconds of .* in arch\[2\]\[1\]"):
        run_here(
            *("train.py", "my_search.py", "--cfg-options", *SMALL),
            *(f"train_cfg.penalty.{option}" for option in options),
        )


def test_the_guide_names_every_config_and_row():
    names = {path.name for path in (CONFIGS / "nas").glob("hadaptive_gdas_*.py")}
    assert names == set(re.findall(r"^\| `(hadaptive_gdas_\w+\.py)`", GUIDE, re.MULTILINE))
    rows = re.findall(r'^\| `\("(\w+)", channels', GUIDE, re.MULTILINE)
    assert rows == ["conv", "pointwise", "ghost", "ach", "blank"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """12 images to train on and 4 to test on, of CIFAR-100's classes."""
    return write_images(tmp_path_factory.mktemp("cifar"), train=12, test=4)


def test_one_command_searches_trains_and_records(images, tmp_path, run_here, monkeypatch):
    run = []

    def run_tool(*words):
        run.append([str(word) for word in words])
        run_here(*words)

    monkeypatch.setattr(search_comparison.run_all, "__defaults__", (run_tool,))
    small = ["train_dataloader.batch_size=4", "train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
    small += ["data_preprocessor.size=32", "log_level=ERROR"]
    command = [images, tmp_path / "runs", "--seeds", 0, "--out", tmp_path / "search.json"]
    call = lambda *more: run_here(  # noqa: E731
        "paper/search_cifar100.py", *command, *more, "--cfg-options", *small
    )
    call("--seconds", 1)
    assert not run
    call()
    names = [search_comparison.SEARCH, *search_comparison.NETWORKS]
    assert [words[1].rpartition("/")[2] for words in run] == [f"{name}.py" for name in names]
    record = json.loads((tmp_path / "search.json").read_text())
    assert (tmp_path / "search_seed0.png").stat().st_size > 1000
    (search,) = record["searches"]
    assert len([row for row in search["rows"] if row["confidence"]]) == 11
    assert [entry["network"] for entry in record["networks"]] == names[1:]
    assert len({entry["parameters"] for entry in record["networks"]}) == 3
    small.append("train_dataloader.drop_last=False")
    with pytest.raises(Exception, match="give another folder"):
        call()


ROWS = [
    dict(place="arch[0][0]", channels=32, stride=2, confidence=None),
    dict(
        place="arch[3][5]",
        channels=96,
        stride=1,
        confidence=dict(Ghost=0.25, DySoft=0.74998, DySig=0.00001, DyAlge=0.00001),
    ),
    dict(
        place="arch[4][0]",
        channels=128,
        stride=2,
        confidence=dict(Ghost=0.4, DySoft=0.3, DySig=0.2, DyAlge=0.1),
    ),
]


def test_tables_of_a_record():
    record = dict(
        searches=[dict(seed=3, rows=ROWS)],
        networks=[
            dict(network=name, seed=seed, parameters=2_000_000, macs=12_000_000, last_top1=top1)
            for name in search_comparison.NETWORKS
            for seed, top1 in ((0, 40.0), (1, 42.0))
        ],
    )
    lines = search_comparison.search_table(record).splitlines()
    assert lines[0].startswith("| row: channels | Table 3: Ghost | Table 3: DySoft |")
    assert lines[2] == (
        "| arch[3][5]: 96 | 2.92 | **62.02** | 6.58 | 28.18 | 25.00 | **75.00** | <0.01 | <0.01 |"
    )
    row = "| arch[4][0]: <u>128</u> | 12.78 | **43.72** | 23.87 | 19.62 | **40.00** |"
    assert lines[3].startswith(row)
    lines = search_comparison.searched_table(record).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines[:2]] == [
        "| derived, seed 0",
        "| derived, seed 1",
    ]
    assert lines[2] == f"| Hadaptive-Net-S | 2.000 | 12.00 | 41.00 ± {np.sqrt(2):.2f} | 2 |"


def test_table_of_the_costs_of_a_step():
    network = dict(candidates=0, seconds=2.0, bytes=2**30)
    rows = [network, dict(candidates=4, seconds=3.0, bytes=2**29)]
    assert search_costs_table(rows).splitlines()[3] == (
        "| a search step, 4 candidates | 3000 | 1.50 | 512 | 0.50 |"
    )


def test_a_step_of_the_benchmark():
    from mmhadaptive.nas.search_benchmark import Training

    for candidates in (0, 2):
        assert Training(candidates, 32, 2, "cpu").seconds() > 0
