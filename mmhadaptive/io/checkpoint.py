"""Checkpoints are read as tensors and plain data, never as arbitrary pickles.

``torch.load(weights_only=True)`` refuses a few harmless classes that mmengine puts into its
checkpoints; these are allowed here, and nothing else is.
"""

from __future__ import annotations

import io
import os
import pickle
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.logging import HistoryBuffer

from .numpy_globals import NUMPY_GLOBALS
from .whole import write_file


def _history_method(owner: type, name: str):
    """What ``getattr`` may do in a checkpoint: name a statistic of mmengine's HistoryBuffer."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r}) in a checkpoint")
    return getattr(owner, name)


# By the names in a pickle.
SAFE_GLOBALS = {
    f"{HistoryBuffer.__module__}.{HistoryBuffer.__name__}": HistoryBuffer,
    "builtins.getattr": _history_method,
    **NUMPY_GLOBALS,
}


@contextmanager
def _safe_globals():
    """Let torch load ``SAFE_GLOBALS``, and what the user allowed unless it is under these names."""
    allowed = torch.serialization.get_safe_globals()
    ours = [(value, name) for name, value in SAFE_GLOBALS.items()]
    torch.serialization.clear_safe_globals()
    for entry in allowed:
        value, name = entry if isinstance(entry, tuple) else (entry, None)
        if (name or f"{value.__module__}.{value.__qualname__}") not in SAFE_GLOBALS:
            torch.serialization.add_safe_globals([entry])
    torch.serialization.add_safe_globals(ours)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)


def safe_torch_load(file, map_location=None, *args, **kwargs):
    """``torch.load`` of tensors and plain data, whatever else the caller asks for."""
    name = file if isinstance(file, (str, os.PathLike)) else "a buffer"
    try:
        with _safe_globals():
            return torch.serialization.load(file, map_location=map_location, weights_only=True)
    # A damaged file can raise nearly anything.
    except Exception as error:
        raise pickle.UnpicklingError(f"{name} was not loaded: {error}") from error


def load_checkpoint_file(filename: str | os.PathLike, map_location=None) -> dict:
    """Read a checkpoint file without running code from it.

    Args:
        filename: A local file.
        map_location: As in :func:`torch.load`.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The file may not be read.
        pickle.UnpicklingError: The file is not a checkpoint, is damaged, or holds objects other
            than tensors and plain data; the message names the file.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    path.open("rb").close()
    return safe_torch_load(path, map_location)


def to_bytes(checkpoint: object) -> bytes:
    """The content of the file that ``torch.save`` writes."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def save_checkpoint_file(checkpoint: object, path: str | os.PathLike) -> None:
    """Write a checkpoint, whole or not at all."""
    write_file(path, to_bytes(checkpoint))
