"""Local files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend

from mmhadaptive.io.whole import write_file


class AtomicLocalBackend(LocalBackend):
    """mmengine's local storage, except that a file appears under its name only once complete.

    A training run that is killed while it writes a checkpoint leaves the previous one intact.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes as :func:`~mmhadaptive.io.whole.write_file` does."""
        write_file(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text as :meth:`put` writes bytes."""
        write_file(filepath, obj.encode(encoding))
