"""The size of the images that a config's network is made for."""

from __future__ import annotations

from mmengine.config import Config

# What transforms call the size of their result.
KEYS = ("scale", "crop_size", "size")


def input_size(cfg: Config) -> tuple[int, int]:
    """Height and width of what the network sees of an image in testing.

    It is the last size in the test pipeline, such as that of ``Resize`` or ``CenterCrop``, or else
    the ``size`` of the data preprocessor, rounded up to its ``pad_size_divisor``. Where the
    pipeline keeps the image's ratio, the image is one that fills the size, wider than high; where
    it scales one edge, a square.

    Raises:
        ValueError: Neither has a size; the network then sees images as they are.
    """
    # The Runner adds the config's to a model that has none.
    preprocessor = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
    size = _pair(preprocessor.get("size"))
    for transform in _test_pipeline(cfg):
        for key in KEYS:
            if transform.get(key) is not None:
                width, height = _pair(transform[key])
                size = (width, height)
                if transform.get("keep_ratio"):
                    size = (max(size), min(size))
    if size is None:
        raise ValueError(
            f"the test pipeline of {cfg.filename} has no size, nor has its data preprocessor"
        )
    divisor = preprocessor.get("pad_size_divisor", 1)
    width, height = (-(-side // divisor) * divisor for side in size)
    return height, width


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _test_pipeline(cfg: Config) -> list[dict]:
    """That of the innermost data set."""
    dataset = (cfg.get("test_dataloader") or cfg.get("val_dataloader") or {}).get("dataset", {})
    while inner := dataset.get("dataset") or next(iter(dataset.get("datasets", [])), None):
        dataset = inner
    return dataset.get("pipeline", [])
