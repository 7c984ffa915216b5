"""The models that ``model-index.yml`` names, and the weights that come with the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmengine.fileio import load

#: The folder of ``configs``, ``tools``, ``checkpoints`` and the index.
FOLDER = Path(__file__).parents[1] / ".mim"


def models() -> Iterator[tuple[str, dict]]:
    """For each entry of the metafiles, in their order, the path of its metafile and the entry."""
    for path in load(FOLDER / "model-index.yml")["Import"]:
        for model in load(FOLDER / path)["Models"]:
            yield path, model


def weights_path(model: dict) -> str | None:
    """The file of the weights of a metafile's entry; None where there are none."""
    return str(FOLDER / model["Weights"]) if model["Weights"] else None
