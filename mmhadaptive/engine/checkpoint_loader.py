"""How mmengine reads checkpoints: as tensors and plain data, from wherever its loaders fetch them.

mmengine itself would fall back to an unrestricted load, or would refuse its own files.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from mmengine.dist import all_gather_object, is_distributed
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch.hub import tqdm

from mmhadaptive.io.checkpoint import load_checkpoint_file, safe_torch_load
from mmhadaptive.io.whole import write_file


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
            write_file(path, _download(filename))
    except Exception as error:
        failure = f"{filename} was not downloaded: {error}"
    # Every rank hears of a failure, so that none waits for a file that does not come.
    failures = list(filter(None, all_gather_object(failure)))
    if failures:
        raise ConnectionError(failures[0])
    return load_checkpoint_file(path, map_location)


_mmengine_load = CheckpointLoader.load_checkpoint.__func__


def load_checkpoint(cls, filename: str, map_location=None, logger="current") -> dict:
    """``CheckpointLoader.load_checkpoint``, during which ``torch.load`` runs no code.

    So loaders that are registered later are safe too, unless they unpickle by other means.
    """
    torch_load, torch.load = torch.load, safe_torch_load
    try:
        return _mmengine_load(cls, filename, map_location, logger)
    except pickle.UnpicklingError as error:
        if filename in str(error):
            raise
        raise pickle.UnpicklingError(f"{filename} was not loaded: {error}") from error
    finally:
        torch.load = torch_load
