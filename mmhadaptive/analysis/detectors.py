"""The detectors of the paper's Table 6: our counts, beside the accuracies that were published."""

from __future__ import annotations

from collections.abc import Callable

from mmengine.config import Config

from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.published import published_figures

from .complexity import COUNTS, config_complexity
from .input_size import input_size
from .tables import markdown_table

# As the metafiles call them.
METRICS = ("box AP", "mIoU")


def count_detectors(report: Callable[[str], None] = lambda name: None) -> list[dict]:
    """Count the whole detectors of Table 6, backbone to heads, at the size that they test at.

    Args:
        report: Is called with the name of every detector, before it is counted.

    Returns:
        An entry a detector: ``config``, ``input`` (channels, height, width), its counts, and
        ``published``, the paper's metrics in per cent.
    """
    detectors = []
    for figure in published_figures():
        if figure.source != "Table 6":
            continue
        report(figure.name)
        cfg = Config.fromfile(FOLDER / figure.config)
        size = input_size(cfg)
        counts = config_complexity(cfg, size)
        detectors.append(
            dict(
                config=figure.name,
                input=[3, *size],
                **{key: counts[key] for key in COUNTS},
                published=figure.metrics,
            )
        )
    return detectors


def detectors_table(detectors: list[dict]) -> str:
    """The entries of :func:`count_detectors` in Markdown."""
    headers = ["detector", "input", "parameters, M", "MACs, M", *(f"{m}, paper" for m in METRICS)]
    rows = [
        [
            f"`{entry['config']}`",
            "x".join(map(str, entry["input"][1:])),
            f"{entry['parameters'] / 1e6:.3f}",
            f"{entry['macs'] / 1e6:.1f}",
            *(f"{entry['published'][metric]:.1f}" for metric in METRICS),
        ]
        for entry in detectors
    ]
    return markdown_table(headers, rows)
