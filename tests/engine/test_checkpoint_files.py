"""Checkpoint files: no code runs, nothing is half-written, another network is refused."""

import os
import pickle

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, save_checkpoint

from mmhadaptive.engine import AtomicLocalBackend, check_state_dict, load_checkpoint_file
from mmhadaptive.models import HadaptiveNet


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Reach:
    """Tries to get at a function's globals through the getattr that HistoryBuffer needs."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, "__init__")


@pytest.mark.parametrize("load", [load_checkpoint_file, CheckpointLoader.load_checkpoint])
def test_code_in_a_checkpoint_does_not_run(tmp_path, load):
    file = tmp_path / "evil.pth"
    for attack in (Attack(tmp_path / "owned"), Reach()):
        torch.save(dict(state_dict={}, extra=attack), file)
        with pytest.raises(pickle.UnpicklingError, match=r"evil\.pth was not loaded"):
            load(str(file))
    assert not (tmp_path / "owned").exists()


def test_mmengine_objects_load(tmp_path):
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    file = tmp_path / "history.pth"
    torch.save(dict(log=buffer, state_dict=dict(a=torch.ones(2))), file)
    loaded = load_checkpoint_file(file)
    assert loaded["log"].mean() == 1.5
    assert torch.equal(loaded["state_dict"]["a"], torch.ones(2))


def test_missing_and_truncated_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nothing.pth"):
        load_checkpoint_file(tmp_path / "nothing.pth")
    file = tmp_path / "half.pth"
    torch.save(dict(state_dict=dict(a=torch.ones(1000))), file)
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(pickle.UnpicklingError, match=r"half\.pth was not loaded"):
        load_checkpoint_file(file)


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "model.pth"
    save_checkpoint(dict(state_dict=dict(a=torch.zeros(2))), str(file))

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(dict(state_dict=dict(a=torch.ones(2))), str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]
    assert torch.equal(load_checkpoint_file(file)["state_dict"]["a"], torch.zeros(2))


def test_mmengine_writes_through_the_atomic_backend(tmp_path):
    backend = get_file_backend(str(tmp_path))
    assert isinstance(backend, AtomicLocalBackend)
    backend.put_text("äöü", tmp_path / "new" / "text.txt")
    assert (tmp_path / "new" / "text.txt").read_text(encoding="utf-8") == "äöü"
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "new" / "text.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_checkpoint_of_another_network():
    small, medium = HadaptiveNet("s"), HadaptiveNet("m")
    state = small.state_dict()
    check_state_dict(small, state, "s.pth", partial=False)
    check_state_dict(small, {f"module.{k}": v for k, v in state.items()}, "s.pth", partial=False)
    with pytest.raises(ValueError, match=r"s\.pth is a checkpoint of another network") as error:
        check_state_dict(medium, state, "s.pth", partial=False)
    assert "stages." in str(error.value)
    # Fine-tuning may start from a part, but not from nothing.
    check_state_dict(medium, state, "s.pth", partial=True)
    with pytest.raises(ValueError, match="another network"):
        check_state_dict(medium, dict(other=torch.ones(1)), "s.pth", partial=True)
