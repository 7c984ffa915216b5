"""Loss and accuracy of a training over its epochs."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure


def draw_training(curves: Mapping[int, tuple[float, float | None]]) -> Figure:
    """Draw the loss on the left axis, top-1 on the right.

    Args:
        curves: By epoch its loss and its top-1 in per cent, if it is known.
    """
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    left = figure.subplots()
    left.plot(list(curves), [loss for loss, _ in curves.values()], "C0")
    left.set(xlabel="epoch", ylabel="training loss")
    left.yaxis.label.set_color("C0")
    right = left.twinx()
    known = {epoch: top1 for epoch, (_, top1) in curves.items() if top1 is not None}
    right.plot(list(known), list(known.values()), "C1")
    right.set(ylabel="top-1 accuracy, %")
    right.yaxis.label.set_color("C1")
    return figure
