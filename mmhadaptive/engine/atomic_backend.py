"""Local files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


@register_backend("local", force=True, prefixes="")
class AtomicLocalBackend(LocalBackend):
    """mmengine's local storage, except that a file appears under its name only once complete.

    A training run that is killed while it writes a checkpoint leaves the previous one intact.
    Importing this module makes it mmengine's backend for local paths.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` beside ``filepath``, flush it to the disk, then rename it."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp grants access to the owner alone; open() would have used the umask.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(scratch, 0o666 & ~umask)
            os.replace(scratch, path)
        except BaseException:
            os.unlink(scratch)
            raise

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text as :meth:`put` writes bytes."""
        self.put(obj.encode(encoding), filepath)
