"""Temperature and entropy of the choice over a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib import colormaps
from matplotlib.figure import Figure


class Logged(Protocol):
    """What is drawn of a layer in an iteration; entropies are in bits, and None if unknown."""

    step: int
    channels: int
    tau: float
    entropy: float | None
    information: float | None


def draw_selection_curves(layers: Mapping[str, Sequence[Logged]]) -> Figure:
    """Draw a panel each of temperature, entropy and information, with a line a layer.

    Args:
        layers: By name, in the order of the network, what was logged.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    tau, entropy, information = figure.subplots(1, 3)
    for number, (name, entries) in enumerate(layers.items()):
        # From the first layer to the last, from dark to light.
        colour = colormaps["viridis"](0.9 * number / max(len(layers) - 1, 1))
        marker = "." if len(entries) == 1 else ""
        style = dict(color=colour, marker=marker, linewidth=1)
        tau.plot([e.step for e in entries], [e.tau for e in entries], label=name, **style)
        known = [e for e in entries if e.entropy is not None]
        steps = [e.step for e in known]
        entropy.plot(steps, [e.entropy / math.log2(e.channels) for e in known], **style)
        information.plot(steps, [e.information for e in known], **style)
    tau.set_title("temperature of a layer", fontsize="medium")
    entropy.set_title("entropy of the first choice, / log2 C", fontsize="medium")
    information.set_title("what the picture decides of it, bits", fontsize="medium")
    information.set_ylim(bottom=0)
    for axis in (tau, entropy, information):
        axis.set_xlabel("iteration")
        axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=min(3, len(layers)), fontsize="small")
    return figure
