import json
import subprocess

import pytest
import torch

from mmhadaptive.io import record


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a file of code and one of docs, in the place of ours."""
    for name in ("code.py", "docs/figures.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("0\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True)
    monkeypatch.setattr(record, "ROOT", tmp_path)
    return tmp_path


def written_commit(folder) -> str:
    record.write_record(folder / "record.json", result=1)
    return json.loads((folder / "record.json").read_text())["commit"]


@pytest.mark.parametrize(
    ("changed", "dirty"), [(None, False), ("docs/figures.json", False), ("code.py", True)]
)
def test_only_changed_code_makes_a_commit_dirty(checkout, changed, dirty):
    if changed:
        (checkout / changed).write_text("1\n")
    assert written_commit(checkout).endswith("-dirty") == dirty


def test_outside_a_checkout_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert written_commit(tmp_path) == "unknown"


def test_a_row_of_numbers_is_a_line(tmp_path):
    matrix = torch.tensor([[1, -2], [30, 4]])
    results = dict(matrix=matrix, rates=[1e-5, -0.5], words=["a", "b"], empty=[], text="[\n1\n]")
    record.write_record(tmp_path / "record.json", **results)
    text = (tmp_path / "record.json").read_text()
    assert "    [1, -2],\n    [30, 4]\n" in text
    assert '"rates": [1e-05, -0.5],' in text
    read = json.loads(text)
    assert {key: read[key] for key in results} == {**results, "matrix": matrix.tolist()}
