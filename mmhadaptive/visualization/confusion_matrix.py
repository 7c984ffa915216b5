"""A confusion matrix with the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor


def draw_confusion_matrix(matrix: Tensor, classes: Sequence[str] | None) -> Figure:
    """Draw it as mmpretrain does, large enough for the names of up to 200 classes.

    Args:
        matrix: Counts (C, C): the true class by rows, the predicted one by columns.
        classes: The names of the C classes; numbers without them.
    """
    from matplotlib import pyplot
    from mmpretrain.evaluation import ConfusionMatrix

    figure = ConfusionMatrix.plot(matrix, classes=classes, show=False)
    # Which would keep it.
    pyplot.close(figure)
    if len(matrix) <= 200:
        figure.set_size_inches([max(10, len(matrix) / 5)] * 2)
        figure.autofmt_xdate(rotation=90, ha="center")
    else:
        figure.set_size_inches(20, 20)
        numbers = range(0, len(matrix), 50)
        figure.axes[0].set_xticks(numbers, numbers)
        figure.axes[0].set_yticks(numbers, numbers)
    return figure
