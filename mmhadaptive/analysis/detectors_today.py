"""Small detectors with RTMDet's head, counted, beside what others published of theirs."""

from __future__ import annotations

from collections.abc import Callable

from mmengine.config import Config

from mmhadaptive.io.model_index import FOLDER

from .complexity import COUNTS, config_complexity
from .input_size import input_size
from .tables import markdown_table

#: The configs that are counted.
CONFIGS = (
    "rtmdet_hadaptive_s_coco",
    "rtmdet_hadaptive_s_cspnext_coco",
    "rtmdet_hadaptive_m_coco",
    "rtmdet_hadaptive_s_640_coco",
    "rtmdet_hadaptive_m_640_coco",
)
PICODET = (
    "https://github.com/PaddlePaddle/PaddleDetection/blob/"
    "084e537bc217bf7fa587e11ce283bf5faeb67fda/configs/picodet/README_en.md"
)
NANODET = (
    "https://github.com/RangiLyu/nanodet/blob/0036f941ba34be34db31486a83a18be9da91e293/README.md"
)
RTMDET = "https://github.com/open-mmlab/mmdetection/tree/main/configs/rtmdet"
#: What others published for COCO's val2017: name, side of the image, parameters in millions,
#: multiply-accumulates in thousands of millions (which they call FLOPs), box AP, and where.
PEERS = (
    ("PicoDet-XS", 320, "0.70", "0.67", "23.5", PICODET),
    ("PicoDet-S", 320, "1.18", "0.97", "29.1", PICODET),
    ("NanoDet-Plus-m", 320, "1.17", "0.9", "27.0", NANODET),
    ("NanoDet-Plus-m-1.5x", 320, "2.44", "1.75", "29.9", NANODET),
    ("RTMDet-tiny", 640, "4.8", "8.1", "40.9", RTMDET),
)


def count_today(report: Callable[[str], None] = lambda name: None) -> list[dict]:
    """Count the whole detectors of :data:`CONFIGS`, at the size that they test at.

    Args:
        report: Is called with the name of every detector, before it is counted.

    Returns:
        An entry a detector: ``config``, ``input`` (channels, height, width) and its counts.
    """
    detectors = []
    for name in CONFIGS:
        report(name)
        cfg = Config.fromfile(FOLDER / "configs" / "detection" / f"{name}.py")
        size = input_size(cfg)
        counts = config_complexity(cfg, size)
        detectors.append(
            dict(config=name, input=[3, *size], **{key: counts[key] for key in COUNTS})
        )
    return detectors


def today_table(detectors: list[dict]) -> str:
    """The entries of :func:`count_today` and :data:`PEERS`, by the images' size, in Markdown.

    AP is what was published; ours have none.
    """
    rows = []
    for size in sorted({entry["input"][1] for entry in detectors} | {peer[1] for peer in PEERS}):
        rows += [
            [
                f"`{entry['config']}`",
                size,
                f"{entry['parameters'] / 1e6:.2f}",
                f"{entry['macs'] / 1e9:.2f}",
                "-",
            ]
            for entry in detectors
            if entry["input"][1] == size
        ]
        rows += [
            [f"[{name}]({source})", size, *counts]
            for name, side, *counts, source in PEERS
            if side == size
        ]
    return markdown_table(["detector", "input", "parameters, M", "MACs, G", "box AP"], rows)
