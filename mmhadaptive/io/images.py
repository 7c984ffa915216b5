"""Images of the disk."""

from __future__ import annotations

from pathlib import Path

import mmcv
import numpy as np

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def find_images(path: Path) -> list[Path]:
    """The image at ``path``, or the images in the folder ``path``, sorted by name.

    Raises:
        FileNotFoundError: There is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"no image or folder at {path}")
    images = sorted(each for each in path.iterdir() if each.suffix.lower() in EXTENSIONS)
    if not images:
        raise FileNotFoundError(f"no image in {path}; looked for {', '.join(EXTENSIONS)}")
    return images


def read_image(path: Path) -> np.ndarray:
    """Decode an image to (H, W, 3), BGR.

    Raises:
        ValueError: It does not decode.
    """
    image = mmcv.imread(str(path))
    if image is None:
        raise ValueError(f"{path} does not decode as an image")
    return image
