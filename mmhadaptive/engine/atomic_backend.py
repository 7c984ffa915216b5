"""Local files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.fileio import LocalBackend, register_backend


@register_backend("local", force=True, prefixes="")
class AtomicLocalBackend(LocalBackend):
    """mmengine's local storage, except that a file appears under its name only once complete.

    A training run that is killed while it writes a checkpoint leaves the previous one intact.
    Importing this module makes it mmengine's backend for local paths.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` beside ``filepath``, flush it to the disk, then rename it.

        A link stays and its target is written. A file that exists keeps its permissions. Pipes and
        devices are written directly.
        """
        try:
            mode = os.stat(filepath).st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and not stat.S_ISREG(mode):
            return super().put(obj, filepath)
        path = Path(os.path.realpath(filepath))
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
            new = Path(scratch, "new")
            with open(new, "wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                new.chmod(stat.S_IMODE(mode))
            new.replace(path)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text as :meth:`put` writes bytes."""
        self.put(obj.encode(encoding), filepath)
