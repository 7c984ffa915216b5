"""What this package puts in the place of parts of mmengine."""

from __future__ import annotations

import mmengine.runner.checkpoint as mmengine_checkpoint
from mmengine.fileio import register_backend
from mmengine.infer import BaseInferencer
from mmengine.model import PretrainedInit
from mmengine.runner import CheckpointLoader

from mmhadaptive.io.checkpoint import safe_torch_load

from .atomic_backend import AtomicLocalBackend
from .checkpoint_loader import load_checkpoint, load_from_http, load_from_local
from .model_names import load_by_name
from .pretrained_init import load_pretrained


def install() -> None:
    """Let mmengine write files whole, run no code from checkpoints, check ``Pretrained``, and find
    our configs by name."""
    register_backend("local", AtomicLocalBackend, force=True, prefixes="")

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)
    CheckpointLoader.register_scheme(prefixes="", loader=load_from_local, force=True)
    CheckpointLoader.register_scheme(
        prefixes=("http://", "https://"), loader=load_from_http, force=True
    )
    # mmengine's other loaders find an address or fetch bytes, and then call these.
    mmengine_checkpoint.load_from_local = load_from_local
    mmengine_checkpoint.load_from_http = load_from_http
    mmengine_checkpoint._safe_torch_load = safe_torch_load

    PretrainedInit.__call__ = load_pretrained

    BaseInferencer._load_model_from_metafile = load_by_name
