"""Checkpoints to give away: weights and what inference needs, nothing of training or author."""

from __future__ import annotations

import ast
import copy
import hashlib
import io
import os
import pickle
import re
import tokenize
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import torch

from .checkpoint import load_checkpoint_file, to_bytes
from .whole import write_file

KEYS = ("meta", "state_dict")
META_KEYS = ("cfg", "dataset_meta", "epoch", "iter")
ABSOLUTE = re.compile(r"[/~]|[A-Za-z]:[/\\]|file:")


def without_folders(text: str) -> str:
    """The text of a config in which absolute paths are cut to their last part."""
    lines = text.splitlines(keepends=True)
    # From the end, so that positions stay right.
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        (row, start), (_, end) = token.start, token.end
        if token.type != tokenize.STRING or "\n" in token.string:
            continue
        value = ast.literal_eval(token.string)
        # It knows both separators.
        name = PureWindowsPath(value).name if isinstance(value, str) else ""
        if name and ABSOLUTE.match(value):
            line = lines[row - 1]
            lines[row - 1] = f"{line[:start]}{name!r}{line[end:]}"
    return "".join(lines)


def to_half(value: torch.Tensor) -> torch.Tensor:
    """In float16, if it is of floating point and within its range, as a variance may not be."""
    half = value.half() if value.is_floating_point() else value
    return half if half.isfinite().all() else value


def publishable(
    checkpoint: dict, keys: Sequence[str] = KEYS, averaged: bool = True, half: bool = False
) -> dict:
    """What of a checkpoint is for others.

    Of ``meta`` these are the config, the classes, epoch, iteration and versions. Absolute paths
    in the config are cut to their last part.

    Args:
        checkpoint: As mmengine writes it.
        keys: The keys to keep.
        averaged: Whether ``state_dict`` is to have the average of the weights, where training
            averaged them, or the weights that were trained.
        half: Whether weights are to be in float16; those beyond its range stay as they are.

    Returns:
        A new dict; ``checkpoint`` is as it was.

    Raises:
        KeyError: One of ``keys``, or the weights that were trained, are not in ``checkpoint``.
    """
    needed = [*keys, *(() if averaged else ("ema_state_dict",))]
    for key in needed:
        if key not in checkpoint:
            raise KeyError(f"no {key}; it has {', '.join(checkpoint)}")
    published = {key: checkpoint[key] for key in keys}
    if "meta" in published:
        meta = {
            key: value
            for key, value in published["meta"].items()
            if key in META_KEYS or key.endswith("_version")
        }
        if "cfg" in meta:
            meta["cfg"] = without_folders(meta["cfg"])
        published["meta"] = meta
    if "state_dict" in published:
        # Not dict(): the versions of modules are an attribute.
        state = copy.copy(published["state_dict"])
        if not averaged:
            # EMAHook saves the average as state_dict, and here what it was made from.
            trained = checkpoint["ema_state_dict"].items()
            state.update((k[7:], v) for k, v in trained if k.startswith("module."))
        if half:
            state.update({name: to_half(value) for name, value in state.items()})
        published["state_dict"] = state
    return published


def publish(in_file: str | os.PathLike, out_file: str | os.PathLike, **options) -> Path:
    """Write what of a checkpoint is for others, whole or not at all.

    Plain ``torch.load(weights_only=True)`` reads the file. Its name ends in the first eight digits
    of its sha256, which torch.hub checks, so a file of the same name has the same content.

    Args:
        in_file: A checkpoint of mmengine's.
        out_file: The name to which the digits are added; ``.pth`` need not be there.
        options: See :func:`publishable`.

    Returns:
        The file, ``<out_file without .pth>-<digits>.pth``.

    Raises:
        KeyError: A key is not in the checkpoint.
        ValueError: What is to be kept is more than tensors and plain data.
    """
    try:
        published = publishable(load_checkpoint_file(in_file, "cpu"), **options)
    except KeyError as error:
        raise KeyError(f"{in_file}: {error.args[0]}") from None
    data = to_bytes(published)
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except pickle.UnpicklingError as error:
        kept = ", ".join(published)
        raise ValueError(f"{in_file} cannot be published with {kept}: {error}") from error
    digits = hashlib.sha256(data).hexdigest()[:8]
    path = Path(f"{os.fspath(out_file).removesuffix('.pth')}-{digits}.pth")
    write_file(path, data)
    return path
