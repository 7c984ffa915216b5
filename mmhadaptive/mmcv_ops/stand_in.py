"""The file ``mmcv/_ext.py``, which gives mmcv the operators of this package."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from mmhadaptive.io.whole import write_file

FIRST_LINE = '"""Stand-in for the compiled operators of mmcv, written by mmhadaptive.'
SOURCE = f"""{FIRST_LINE}

``python -m mmhadaptive.mmcv_ops remove`` deletes it. A compiled module beside it goes first.
\"""

try:
    from mmhadaptive.mmcv_ops.extension import *
    from mmhadaptive.mmcv_ops.extension import __getattr__
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "mmhadaptive":
        raise
    raise ModuleNotFoundError(
        f"{{__file__}} gives mmcv the operators of mmhadaptive, which is not installed. Install "
        "it, or delete the file.",
        name=__name__,
    ) from error
"""


def mmcv_folder() -> Path:
    """The folder of the installed mmcv, which is not imported.

    Raises:
        FileNotFoundError: There is none.
    """
    spec = find_spec("mmcv")
    # What an uninstallation leaves behind has no __init__.py.
    if spec is None or spec.origin is None:
        raise FileNotFoundError("mmcv is not installed in this environment")
    return Path(spec.origin).parent


def compiled_module(folder: Path) -> Path | None:
    """The compiled module of mmcv for this Python, if there is one."""
    paths = [folder / f"_ext{suffix}" for suffix in EXTENSION_SUFFIXES]
    return next((path for path in paths if path.exists()), None)


def stand_in(folder: Path) -> Path | None:
    """The stand-in, if there is one.

    Raises:
        FileExistsError: There is a file in its place that is another's.
    """
    path = folder / "_ext.py"
    if not path.exists():
        return None
    if not path.read_text().startswith(FIRST_LINE):
        raise FileExistsError(f"{path} was not written by mmhadaptive")
    return path


def install(folder: Path) -> Path | None:
    """Write the stand-in, and list it among the files of mmcv, with which pip removes it.

    Returns:
        Its path; None if mmcv has its compiled module, beside which nothing is written.
    """
    if compiled_module(folder):
        return None
    stand_in(folder)
    path = folder / "_ext.py"
    write_file(path, SOURCE)
    _record(path, listed=True)
    return path


def remove(folder: Path) -> Path | None:
    """Delete the stand-in. Returns its path; None if there was none."""
    path = stand_in(folder)
    if path is not None:
        path.unlink()
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
        _record(path, listed=False)
    return path


def _record(path: Path, listed: bool) -> None:
    """Add a file to the list of what pip has installed as mmcv, or take it away.

    A checkout of mmcv has no such list.
    """
    folder = path.parent
    entry = f"{folder.name}/{path.name},,"
    for record in folder.parent.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines()
        if any(line.startswith(f"{folder.name}/__init__.py,") for line in lines):
            others = [line for line in lines if line != entry]
            write_file(record, "\n".join([*others, *([entry] if listed else [])]) + "\n")
