"""What an architecture search believes, over its epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib import colormaps
from matplotlib.figure import Figure

Confidence = Mapping[str, float]


def draw_confidence(titles: Sequence[str], history: Sequence[Sequence[Confidence]]) -> Figure:
    """Draw the candidates' probabilities over the epochs, a panel a row of the network.

    Args:
        titles: What the rows are called.
        history: For every epoch, and in it for every row, the probabilities by the candidates'
            names. A name has one colour in all panels.
    """
    columns = min(4, len(titles))
    lines = -(-len(titles) // columns)
    names = dict.fromkeys(name for row in history[-1] for name in row)
    colours = {name: f"C{number % 10}" for number, name in enumerate(names)}
    figure = Figure(figsize=(2.6 * columns, 1.9 * lines + 0.4), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    axes = list(panels.flat)
    epochs = range(1, len(history) + 1)
    for number, (axis, title) in enumerate(zip(axes, titles, strict=False)):
        for name in history[-1][number]:
            values = [confidences[number][name] for confidences in history]
            axis.plot(epochs, values, colours[name], marker="." if len(history) == 1 else "")
        axis.set_title(title, fontsize="small")
        axis.set_ylim(0, 1)
    for number in range(len(titles), len(axes)):
        axes[number].set_axis_off()
        axes[number - columns].tick_params(labelbottom=True)
    figure.supxlabel("epoch")
    figure.supylabel("confidence")
    handles = [figure.axes[0].plot([], [], colour)[0] for colour in colours.values()]
    figure.legend(handles, list(colours), loc="outside upper center", ncols=len(names))
    return figure


def entropy(confidence: Confidence) -> float:
    """The entropy of probabilities, as a part of that of equal ones."""
    parts = [value * math.log(value) for value in confidence.values() if value > 0]
    return -sum(parts) / math.log(len(confidence))


def draw_entropy(titles: Sequence[str], history: Sequence[Sequence[Confidence]]) -> Figure:
    """Draw the entropies of the rows over the epochs: 1 is indifference, 0 a decision.

    Args:
        titles: What the rows are called.
        history: See :func:`draw_confidence`.
    """
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axis = figure.subplots()
    epochs = range(1, len(history) + 1)
    for number, title in enumerate(titles):
        # From the first row to the last, from dark to light.
        shade = 0.9 * number / max(len(titles) - 1, 1)
        values = [entropy(confidences[number]) for confidences in history]
        marker = "." if len(history) == 1 else ""
        axis.plot(epochs, values, color=colormaps["viridis"](shade), label=title, marker=marker)
    axis.set(xlabel="epoch", ylabel="entropy, relative", ylim=(0, 1.02))
    figure.legend(loc="outside right upper", fontsize="small")
    return figure
