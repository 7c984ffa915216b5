"""Loss and a metric of a training over its epochs."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

LABELS = {"accuracy/top1": "top-1 accuracy, %", "coco/bbox_mAP": "AP"}


def draw_training(
    curves: Mapping[int, tuple[float, float | None]], metric: str = "accuracy/top1"
) -> Figure:
    """Draw the loss on the left axis, the metric on the right.

    Args:
        curves: By epoch its loss and the metric, if it is known.
        metric: Its name in the log.
    """
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    left = figure.subplots()
    left.plot(list(curves), [loss for loss, _ in curves.values()], "C0")
    left.set(xlabel="epoch", ylabel="training loss")
    left.yaxis.label.set_color("C0")
    right = left.twinx()
    known = {epoch: value for epoch, (_, value) in curves.items() if value is not None}
    right.plot(list(known), list(known.values()), "C1")
    right.set(ylabel=LABELS.get(metric, metric))
    right.yaxis.label.set_color("C1")
    return figure
