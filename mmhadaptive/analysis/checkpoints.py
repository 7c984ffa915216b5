"""The weights that come with the package, and what shows what they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mmengine.fileio import load

from mmhadaptive.io.model_index import models, weights_path

from .results import measured
from .tables import markdown_table


def checkpoints_table(docs: Path) -> str:
    """The metafiles' entries that have weights, in Markdown, for a page in that folder.

    The ``Metadata`` of such an entry name the ``Training Data`` with their licence, the ``Training
    Record`` and the ``Test Record``, files below the folder ``results`` of the docs.
    """
    rows = []
    for _, model in models():
        path = weights_path(model)
        if path is None:
            continue
        metadata, content = model["Metadata"], Path(path).read_bytes()
        test, training = (metadata[f"{kind} Record"] for kind in ("Test", "Training"))
        scores = [
            f"{name} {value}" for name, value in measured(load(docs / "results" / test)).items()
        ]
        rows.append(
            [
                f"`{model['Name']}`",
                f"[{', '.join(scores)}](results/{test})",
                f"[record](results/{training})",
                metadata["Training Data"],
                f"`{Path(path).name}`",
                f"{len(content) / 1e6:.2f}",
                f"`{hashlib.sha256(content).hexdigest()}`",
            ]
        )
    header = ["name", "on the test set", "training", "data, licence", "file", "MB", "SHA-256"]
    return markdown_table(header, rows)
