"""Figures as files."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


def to_png(figure: Figure, **kwargs) -> bytes:
    """The content of a PNG file with ``figure``; ``kwargs`` as for its ``savefig``."""
    image = io.BytesIO()
    figure.savefig(image, format="png", **kwargs)
    return image.getvalue()
