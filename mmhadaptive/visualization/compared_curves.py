"""Losses and a metric of networks over their epochs, several trainings of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator


def draw_compared_curves(
    networks: Mapping[str, Sequence[Sequence[tuple[int, float, float | None]]]],
    metric: str,
    factor: float = 1.0,
) -> Figure:
    """Draw the training loss on the left, a metric on the right, a colour a network, a line a
    training.

    Args:
        networks: By name the trainings; each has for every epoch its number, its loss, and its
            metric, or None where it is not known.
        metric: What it is called, with its unit.
        factor: From the metric to that unit: 100 for a share in per cent.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, trainings) in enumerate(networks.items()):
        for i, training in enumerate(trainings):
            style = dict(color=f"C{number}", linewidth=1, label=None if i else name)
            epochs, losses, _ = zip(*training, strict=True)
            left.plot(epochs, losses, **style)
            known = [(epoch, factor * value) for epoch, _, value in training if value is not None]
            if known:
                right.plot(*zip(*known, strict=True), marker=".", **style)
    # The losses of different heads have different scales.
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    # Less than a decade has no major tick.
    left.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    left.yaxis.set_minor_formatter(FormatStrFormatter("%g"))
    right.set(xlabel="epoch", ylabel=metric)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(fontsize="small")
    return figure
