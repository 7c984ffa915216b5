"""The ledger of the paper leaves nothing out, and names what there is."""

import argparse
import importlib
import json
import re
import shlex
from decimal import Decimal
from operator import attrgetter

import pytest

from mmhadaptive.analysis.ledger import Value, ledger, ledger_table

from ..paths import DOCS, ROOT

ENTRIES = {entry.of: entry for entry in ledger(DOCS)}
COMMANDS = sorted({entry.command for entry in ENTRIES.values() if entry.command})


def test_nothing_is_left_out():
    expected = [
        *(f"Eq. {i}" for i in range(1, 19)),
        *(f"Algorithm {i}" for i in (1, 2)),
        *(f"Table {i}" for i in range(1, 14)),
        *(f"Fig. {i}" for i in range(2, 10)),
    ]
    assert list(ENTRIES) == expected


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.of)
def test_what_it_names_exists(entry):
    for place in entry.code:
        if "/" in place:
            assert (ROOT / place).is_file(), place
            continue
        package, _, name = place.removeprefix("mmhadaptive.").partition(".")
        symbol = importlib.import_module(f"mmhadaptive.{package}")
        for part in name.split("."):
            if not hasattr(symbol, part):
                symbol = importlib.import_module(f"{symbol.__name__}.{part}")
            else:
                symbol = attrgetter(part)(symbol)
    assert entry.record is None or (DOCS / entry.record).is_file()
    # A row says where the thing is, or that it is not.
    assert bool(entry.code) == bool(entry.command) == (entry.note != "not built")


class Parsed(Exception):
    """The command's arguments were understood."""


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command, run_here, monkeypatch):
    python, *words = shlex.split(command)
    assert python == "python"
    if words[:2] == ["-m", "pytest"]:
        assert words[2:]
        assert all((ROOT / path).is_file() for path in words[2:])
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self, *args, **kwargs):
        parsed = parse(self, *args, **kwargs)
        config = getattr(parsed, "config", None)
        assert config is None or (ROOT / config).is_file()
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    tool, *arguments = words
    with pytest.raises(Parsed):
        run_here(tool.removeprefix("tools/"), *arguments)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.of)
def test_counts_are_as_printed_but_for_those_that_it_names(entry):
    counts = [value for value in entry.figures if value.is_count]
    assert [value.of for value in counts if value.ours is None] == []
    assert sorted(value.of for value in counts if not value.agrees) == sorted(entry.differs)


def test_figures_are_those_of_the_record():
    networks = json.loads((DOCS / "results" / "replacement.json").read_text())["networks"]
    (network,) = (n for n in networks if n["config"] == "mobilevit_small_ach_cifar100")
    ours = {value.of: value for value in ENTRIES["Table 8"].figures}
    for name, i in (
        ("mobilevit_small_ach_cifar100", 1),
        ("mobilevit_small_ach_cifar100, original", 0),
    ):
        value = ours[f"{name} parameters"]
        assert value.ours * 10**6 == network["parameters"][i]
        assert value.record == "results/replacement.json"
    assert str(ours["mobilevit_small_ach_cifar100, original parameters"].printed) == "4.55"


@pytest.mark.parametrize(
    ("ours", "agrees"), [("2.101", True), ("2.09", False), ("2.1099", True), ("2.1101", False)]
)
def test_a_unit_of_the_last_digit(ours, agrees):
    assert Value("net", Decimal("2.10"), Decimal(ours), None, True).agrees == agrees


def test_a_measured_accuracy_is_counted(tmp_path):
    for name in ("complexity", "replacement"):
        path = tmp_path / "results" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text((DOCS / "results" / f"{name}.json").read_text())
    (tmp_path / "paper.yml").write_text("- {of: Table 6, what: detection, figures: Table 6}\n")
    record = dict(metrics={"coco/bbox_mAP": 0.2213})
    (tmp_path / "results" / "ssd_hadaptive_s_coco.json").write_text(json.dumps(record))
    (row,) = re.findall(r"^\| Table 6 .*", ledger_table(tmp_path), re.MULTILINE)
    assert "1 measured" in row
    assert "[ssd_hadaptive_s_coco](results/ssd_hadaptive_s_coco.json)" in row
