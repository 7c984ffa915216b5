"""Files and folders appear whole or not at all."""

import os
import stat

import pytest

from mmhadaptive.io.whole import new_folder, remove_unfinished, write_file


def test_files_appear_together(tmp_path):
    target = tmp_path / "deep" / "set"
    with new_folder(target) as folder:
        (folder / "a.txt").write_text("a")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["set"]
    assert (target / "a.txt").read_text() == "a"
    # Others may read it, as they may a folder of mkdir.
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "deep").stat().st_mode)


def test_a_failure_leaves_nothing(tmp_path):
    def write():
        with new_folder(tmp_path / "set") as folder:
            (folder / "a.txt").write_text("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", ["mkdir", "touch"])
def test_what_exists_is_refused(tmp_path, make):
    getattr(tmp_path / "set", make)()
    with (
        pytest.raises(FileExistsError, match=f"{tmp_path}/set exists"),
        new_folder(tmp_path / "set"),
    ):
        pass
    assert len(list(tmp_path.iterdir())) == 1


def test_the_error_of_a_full_disk_names_the_file(tmp_path, monkeypatch):
    file = tmp_path / "model.pth"
    file.write_bytes(b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{file}'"):
        write_file(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    for name in (".latest.pth.a1b2c3d4", ".last_checkpoint.________"):
        (tmp_path / name).mkdir()
    (tmp_path / ".latest.pth.a1b2c3d4" / "latest.pth").write_bytes(b"half")
    others = [".git", ".cache.settings", ".notes.a1b2c3d4", "latest.pth.a1b2c3d4"]
    for name in others:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / ".file.a1b2c3d4").touch()
    assert {path.name for path in remove_unfinished(tmp_path)} == {
        ".latest.pth.a1b2c3d4",
        ".last_checkpoint.________",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".file.a1b2c3d4"])
