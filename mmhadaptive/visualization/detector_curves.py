"""Losses and AP of detectors over their epochs, several trainings of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def draw_detector_curves(
    detectors: Mapping[str, Sequence[Sequence[tuple[int, float, float | None]]]],
) -> Figure:
    """Draw the training loss on the left, AP on the right, a colour a detector, a line a training.

    Args:
        detectors: By name the trainings; each has for every epoch its number, its loss, and its
            AP, a share, or None where it is not known.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, trainings) in enumerate(detectors.items()):
        for i, training in enumerate(trainings):
            style = dict(color=f"C{number}", linewidth=1, label=None if i else name)
            epochs, losses, _ = zip(*training, strict=True)
            left.plot(epochs, losses, **style)
            known = [(epoch, 100 * ap) for epoch, _, ap in training if ap is not None]
            if known:
                right.plot(*zip(*known, strict=True), marker=".", **style)
    # The losses of different heads have different scales.
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    right.set(xlabel="epoch", ylabel="AP on the validation set, %")
    left.legend(fontsize="small")
    return figure
