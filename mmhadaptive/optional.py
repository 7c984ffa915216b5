"""Packages that only a part of this one needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

MMPRETRAIN = (
    "mmpretrain",
    "pip install onedl-mmpretrain, or mmpretrain beside the original mmengine",
)
# Where mmcv was installed without its compiled operators; see mmhadaptive.mmcv_ops.
MMCV_OPERATORS = ("mmcv._ext", "python -m mmhadaptive.mmcv_ops install")
# Older ones than 1.5 are those that mmpretrain's own vis_cam.py was written for.
GRAD_CAM = ("grad-cam", "pip install 'grad-cam>=1.5.7'")
# mmpretrain 1.3.6 does not import beside transformers 5.
TRANSFORMERS = ("transformers", "pip install 'transformers<5'")


@contextmanager
def needs(package: str, install: str, user: str) -> Iterator[None]:
    """Around an import: say what to install where it fails.

    Args:
        package: The package that is imported.
        install: The command that installs it.
        user: What needs it.

    Raises:
        ImportError: The package is missing or, as a torchvision for another torch, does not import.
    """
    try:
        yield
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"{user} needs {package}, which cannot be imported ({error}). Install it: {install}"
        ) from error
