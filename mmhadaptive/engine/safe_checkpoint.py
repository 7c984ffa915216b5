"""Checkpoints are read as tensors and plain data, never as arbitrary pickles.

``torch.load(weights_only=True)`` refuses a few harmless classes that mmengine puts into its
checkpoints; these are allowed here, and nothing else is. Importing this module makes mmengine
read local and http checkpoints this way (where mmengine itself would fall back to an unrestricted
load, or would refuse its own files).
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, is_main_process
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

# numpy renamed the module that arrays and scalars are pickled from in 2.0.
_multiarray = getattr(np, "_core", None) or np.core


def _history_method(owner: type, name: str):
    """What ``getattr`` may do in a checkpoint: name a statistic of mmengine's HistoryBuffer."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise pickle.UnpicklingError(f"getattr({owner!r}, {name!r}) in a checkpoint")
    return getattr(owner, name)


SAFE_GLOBALS = [
    HistoryBuffer,
    (_history_method, "builtins.getattr"),
    np.ndarray,
    np.dtype,
    _multiarray.multiarray._reconstruct,
    _multiarray.multiarray.scalar,
    *{type(np.dtype(name)) for name in ("f2", "f4", "f8", "i4", "i8", "u4", "u8", "bool")},
]


def load_checkpoint_file(filename: str | os.PathLike, map_location=None) -> dict:
    """Read a checkpoint file without running code from it.

    Args:
        filename: A local file.
        map_location: As in :func:`torch.load`.

    Raises:
        FileNotFoundError: There is no such file.
        pickle.UnpicklingError: The file is not a checkpoint, is truncated, or holds objects other
            than tensors and plain data; the message names the file.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise pickle.UnpicklingError(f"{path} was not loaded: {error}") from error


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_local(filename: str, map_location=None) -> dict:
    """The loader of mmengine for local files."""
    return load_checkpoint_file(filename, map_location)


@CheckpointLoader.register_scheme(prefixes=("http://", "https://"), force=True)
def load_from_http(filename: str, map_location=None) -> dict:
    """The loader of mmengine for web addresses: downloaded once into torch's hub cache."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(filename).path).name
    if is_main_process() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(filename, str(path))
    barrier()
    return load_checkpoint_file(path, map_location)
