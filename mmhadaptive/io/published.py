"""The figures that the paper and others printed, out of the metafiles beside the configs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

from .model_index import models

UNITS = {"M": 6, "G": 9}


@dataclass(frozen=True)
class Published:
    """What one source prints of one network.

    Counts keep the digits that were printed: ``Decimal(count).quantize(parameters)`` rounds a
    count of one's own to them.

    Args:
        name: Of the config.
        config: Its path, below the folder that holds ``configs``.
        source: ``Table 7``, say, or another project.
        original: The network before the config replaced blocks of it.
        parameters: Their number.
        flops: Of one image, counted in the way of the source.
        activations: Elements of the outputs of convolutions and matrix products.
        classes: For which the counts hold.
        input_size: Side of the image for which they hold, in pixels.
        merged: Whether parallel branches of the training were merged.
        channels: Their numbers, by the heading of the source.
        latency: In milliseconds, by device.
        dataset: Of the metrics.
        metrics: Accuracies, in per cent, by the metafile's name.
    """

    name: str
    config: str
    source: str
    original: bool = False
    parameters: Decimal | None = None
    flops: Decimal | None = None
    activations: Decimal | None = None
    classes: int = 100
    input_size: int = 224
    merged: bool = True
    channels: dict[str, int] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    dataset: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)


def _count(printed: str | None) -> Decimal | None:
    if printed is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([MG])", str(printed))
    if not match:
        raise ValueError(f"a count is a number with {' or '.join(UNITS)}, not {printed}")
    return Decimal(match[1]).scaleb(UNITS[match[2]])


def _counts(entry: dict) -> dict:
    """The fields of :class:`Published` that a row of a metafile states of a network's size."""
    return dict(
        **{key.lower(): _count(entry.get(key)) for key in ("Parameters", "FLOPs", "Activations")},
        classes=entry.get("Classes", 100),
        input_size=entry.get("Input", 224),
        merged=entry.get("Branches") != "parallel",
    )


def _figures(model: dict) -> list[Published]:
    metadata, (result,) = model.get("Metadata", {}), model["Results"]
    if "Source" not in metadata:
        return []
    config = dict(name=model["Name"], config=model["Config"])
    paper = dict(config, source=metadata["Source"], dataset=result["Dataset"])
    found = [
        Published(
            **paper,
            **_counts(metadata),
            channels=metadata.get("Channels", {}),
            latency=metadata.get("Latency (ms)", {}),
            metrics=result["Metrics"],
        )
    ]
    if original := metadata.get("Original"):
        metrics = {key: original[key] for key in result["Metrics"]}
        found.append(Published(**paper, **_counts(original), original=True, metrics=metrics))
    for entry in metadata.get("Elsewhere", []):
        found.append(Published(**config, source=entry["Source"], **_counts(entry)))
    return found


def published_figures() -> list[Published]:
    """All figures of the metafiles that ``model-index.yml`` names, in their order.

    Raises:
        ValueError: A count without its unit; the message names the file and the model.
    """
    found = []
    for path, model in models():
        try:
            found += _figures(model)
        except ValueError as error:
            raise ValueError(f"{path}, {model['Name']}: {error}") from error
    return found
