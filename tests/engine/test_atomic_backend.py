"""Files are written whole or not at all, and where a link or a pipe leads."""

import os
import stat
import threading

import pytest
import torch
from mmengine.fileio import get_file_backend, put, put_text
from mmengine.runner import save_checkpoint

from mmhadaptive.engine import AtomicLocalBackend
from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.io.record import write_record


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


@pytest.mark.parametrize("exists", [True, False])
def test_links_stay(tmp_path, exists):
    target, link = tmp_path / "disk" / "target.pth", tmp_path / "link.pth"
    target.parent.mkdir()
    link.symlink_to("disk/target.pth")
    if exists:
        target.write_bytes(b"old")
    put(b"new", link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    put_text("text", link)
    write_record(link, a=1)
    assert link.is_symlink()
    assert '"a": 1' in target.read_text()
    assert [path.name for path in target.parent.iterdir()] == ["target.pth"]


def test_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        put(b"new", tmp_path / "loop")
    assert (tmp_path / "loop").is_symlink()


def test_pipes_are_written_through(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    for write in (lambda: put(b"data", pipe), lambda: put_text("data", pipe)):
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
        reader.start()
        write()
        assert pipe.is_fifo()
        reader.join()
    assert read == [b"data", b"data"]


def test_devices_are_written_through(tmp_path):
    null = tmp_path / "null"
    try:  # the machine's own is not put at risk
        os.mknod(null, stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
        null.write_bytes(b"")
    except OSError:
        pytest.skip("no device can be made here")
    put(b"data", null)
    write_record(null, a=1)
    assert null.is_char_device()


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_permissions_are_kept(tmp_path, mode):
    file = tmp_path / "model.pth"
    file.write_bytes(b"old")
    file.chmod(mode)
    put(b"new", file)
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o7777 == mode
