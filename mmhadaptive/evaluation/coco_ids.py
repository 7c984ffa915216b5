"""Ids of pictures and categories, as an annotation file has them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path

from mmengine.fileio import load


class _Ids(dict):
    """Ids by name; a name without one gets the lowest that is free."""

    def __init__(self, entries: list[Mapping], name: str) -> None:
        super().__init__((entry[name], entry["id"]) for entry in entries)
        taken = set(self.values())
        self.free = (id for id in count(1) if id not in taken)

    def __missing__(self, name: str) -> int:
        self[name] = next(self.free)
        return self[name]


class CocoIds:
    """Numbers pictures and categories so that predictions fit an annotation file.

    A picture has the id of the file's picture whose ``file_name`` its path ends in, a category that
    of the file's category of its name. What the file does not have is numbered from 1, past the
    ids that are taken.

    Args:
        ann_file: A COCO annotation file; without one, everything is numbered from 1.

    Raises:
        ValueError: The file has no images or categories.
    """

    def __init__(self, ann_file: str | Path | None = None) -> None:
        content = load(ann_file) if ann_file else dict(images=[], categories=[])
        try:
            self._images = _Ids(content["images"], "file_name")
            self._categories = _Ids(content["categories"], "name")
        except (KeyError, TypeError) as error:
            raise ValueError(f"{ann_file} is no COCO annotation file: {error!r}") from error

    def image(self, path: Path) -> int:
        """The id of the picture at ``path``."""
        path = path.absolute()
        # The longest end of the path counts: a set may have 1.png beside left/1.png.
        ends = ["/".join(path.parts[i:]) for i in range(1, len(path.parts))]
        return self._images[next((end for end in ends if end in self._images), str(path))]

    def category(self, name: str) -> int:
        """The id of the category ``name``."""
        return self._categories[name]
