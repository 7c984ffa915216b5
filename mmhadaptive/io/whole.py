"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# The folders of _beside: a point, the file's name, and tempfile's eight characters.
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A path on the same disk to write to; what is still there at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        # Within, since the temporary folder itself is for its owner alone.
        yield Path(scratch, path.name)


def write_file(path: str | Path, content: bytes | str) -> None:
    """Write ``content`` beside ``path``, flush it to the disk, then rename it.

    A link stays and its target is written. A file that exists keeps its permissions. Pipes and
    devices are written directly. Folders are made.

    Args:
        path: A path of the local disk.
        content: The bytes, or text for UTF-8.

    Raises:
        OSError: It could not be written, for instance because the disk is full; it names the file,
            which is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        Path(path).write_bytes(data)
        return
    path = Path(os.path.realpath(path))
    try:
        with _beside(path) as new:
            with new.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                new.chmod(stat.S_IMODE(mode))
            new.replace(path)
    except OSError as error:
        # That of a full disk names no file, others the temporary one.
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_unfinished(folder: str | Path) -> list[Path]:
    """Remove what writers that were killed left in a folder, to which nobody writes now.

    Returns:
        The temporary folders that were removed.
    """
    unfinished = []
    for path in Path(folder).glob(".*"):
        match = _TEMPORARY.fullmatch(path.name)
        if not match or path.is_symlink() or not path.is_dir():
            continue
        if {inner.name for inner in path.iterdir()} <= {match[1]}:
            unfinished.append(path)
    for path in unfinished:
        shutil.rmtree(path)
    return unfinished


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``path`` at the end of the ``with`` block.

    It lies beside ``path`` until then, and is removed if the block fails.

    Raises:
        FileExistsError: ``path`` exists.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists; remove it to make it anew")
    with _beside(path) as folder:
        folder.mkdir()
        yield folder
        folder.rename(path)
