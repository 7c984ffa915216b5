"""A folder of files appears whole or not at all."""

import stat

import pytest

from mmhadaptive.io.whole import new_folder


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
