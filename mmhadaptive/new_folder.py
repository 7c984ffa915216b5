"""Folders of files that are written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``path`` at the end of the ``with`` block.

    It lies beside ``path`` until then, and is removed if the block fails.

    Raises:
        FileExistsError: ``path`` exists.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists; remove it to make it anew")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        # The temporary folder itself is for its owner alone.
        folder = Path(scratch) / path.name
        folder.mkdir()
        yield folder
        folder.rename(path)
