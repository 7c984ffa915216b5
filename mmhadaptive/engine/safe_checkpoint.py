"""Checkpoints are read as tensors and plain data, never as arbitrary pickles.

``torch.load(weights_only=True)`` refuses a few harmless classes that mmengine puts into its
checkpoints; these are allowed here, and nothing else is. Importing this module makes mmengine
read every checkpoint this way, from wherever its loaders fetch it (mmengine itself would fall back
to an unrestricted load, or would refuse its own files).
"""

from __future__ import annotations

import os
import pickle
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.dist import all_gather_object, is_distributed
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader
from torch.hub import tqdm

from .atomic_backend import AtomicLocalBackend
from .numpy_globals import NUMPY_GLOBALS


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


def _torch_load(file, map_location=None, *args, **kwargs):
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
    return _torch_load(path, map_location)


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_local(filename: str, map_location=None) -> dict:
    """The loader of mmengine for local files."""
    return load_checkpoint_file(filename, map_location)


def _download(address: str) -> bytes:
    """What stands at a web address; torch's own download takes a part of it for the whole."""
    request = Request(address, headers={"User-Agent": "mmhadaptive"})
    body = bytearray()
    with urlopen(request, timeout=60) as answer:
        size = answer.headers.get("Content-Length")
        size = None if size is None else int(size)
        with tqdm(total=size, unit="B", unit_scale=True, unit_divisor=1024) as progress:
            while part := answer.read(1 << 20):
                body += part
                progress.update(len(part))
    if size is not None and len(body) != size:
        raise ConnectionError(f"{len(body)} of {size} bytes came")
    return bytes(body)


@CheckpointLoader.register_scheme(prefixes=("http://", "https://"), force=True)
def load_from_http(filename: str, map_location=None) -> dict:
    """The loader of mmengine for web addresses: downloaded once per node into torch's hub cache.

    Every process has to call it.

    Raises:
        ConnectionError: On every rank, when the download failed on any node.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(filename).path).name
    failure = ""
    local_rank = os.environ.get("LOCAL_RANK", "0") if is_distributed() else "0"
    try:
        if local_rank == "0" and not path.exists():
            print_log(f"Downloading {filename} to {path}", logger="current")
            AtomicLocalBackend().put(_download(filename), path)
    except Exception as error:
        failure = f"{filename} was not downloaded: {error}"
    # Every rank hears of a failure, so that none waits for a file that does not come.
    failures = list(filter(None, all_gather_object(failure)))
    if failures:
        raise ConnectionError(failures[0])
    return load_checkpoint_file(path, map_location)


_mmengine_load = CheckpointLoader.load_checkpoint.__func__


def _load_checkpoint(cls, filename: str, map_location=None, logger="current") -> dict:
    """``CheckpointLoader.load_checkpoint``, during which ``torch.load`` runs no code.

    So loaders that are registered later are safe too, unless they unpickle by other means.
    """
    torch_load, torch.load = torch.load, _torch_load
    try:
        return _mmengine_load(cls, filename, map_location, logger)
    except pickle.UnpicklingError as error:
        if filename in str(error):
            raise
        raise pickle.UnpicklingError(f"{filename} was not loaded: {error}") from error
    finally:
        torch.load = torch_load


CheckpointLoader.load_checkpoint = classmethod(_load_checkpoint)
# mmengine's other loaders find an address or fetch bytes, and then call these.
mmengine_checkpoint.load_from_local = load_from_local
mmengine_checkpoint.load_from_http = load_from_http
mmengine_checkpoint._safe_torch_load = _torch_load
