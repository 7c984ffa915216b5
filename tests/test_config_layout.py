"""How the configs are laid out: shallow, without a word too much, and one name each."""

import ast
import functools
from pathlib import Path

import pytest
from mmengine.config import Config

from .paths import CONFIGS

FILES = sorted(CONFIGS.rglob("*.py"))
RUN = [path for path in FILES if "_base_" not in path.parts]


@functools.cache
def bases(path):
    """The files that a config inherits from."""
    return [Config._get_cfg_path(base, path)[0] for base in Config._get_base_files(path)]


def depth(path):
    """How many files stand behind each other, of which that of a library is the last."""
    if not Path(path).is_relative_to(CONFIGS):
        return 1
    return 1 + max(map(depth, bases(str(path))), default=0)


def name(path):
    return str(path.relative_to(CONFIGS))


@pytest.mark.parametrize("path", RUN, ids=name)
def test_at_most_three_levels(path):
    assert depth(path) <= 3


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_line_changes_what_is_inherited(path, tmp_path):
    """mmengine refuses a key that two bases state; here a config must not repeat its base."""
    inherited = tmp_path / "inherited.py"
    inherited.write_text(f"_base_ = {[str(Path(base)) for base in bases(str(path))]}")
    before, after = (
        Config.fromfile(file, import_custom_modules=False) for file in (inherited, path)
    )
    for node in ast.parse(path.read_text()).body:
        assert isinstance(node, ast.Assign | ast.AugAssign | ast.Expr)
        for target in getattr(node, "targets", []):
            if isinstance(target, ast.Name) and target.id in before:
                assert after[target.id] != before[target.id], target.id


def test_the_names_of_work_dirs_are_unique():
    stems = [path.stem for path in RUN if path.parent != CONFIGS]
    assert len(stems) == len(set(stems))
    # What stands at the top is another path of one of these.
    assert {path.stem for path in CONFIGS.glob("*.py")} <= set(stems)


def test_the_runtime_is_neutral_between_tasks():
    text = (CONFIGS / "_base_" / "default_runtime.py").read_text()
    assert not [word for word in ("mmdet", "mmpretrain", "Det", "Cls") if word in text]
