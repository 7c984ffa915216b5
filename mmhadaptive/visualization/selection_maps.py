"""Which channels layers choose: at which rank, and for which classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# More names than these would overlap.
MOST_NAMES = 12


@dataclass(frozen=True)
class SelectionMap:
    """What is drawn of a layer.

    Args:
        counts: How often rank ``r`` was channel ``c``, ``(k, C)``.
        class_counts: In how many pictures of class ``a`` channel ``c`` was chosen, ``(A, C)``; or
            None.
        class_pictures: Number of pictures of each class, ``(A,)``.
        difference: Between classes, that of random groups (shares of 1), how many groupings differ
            as much as the classes, and how many there are; or None.
    """

    counts: np.ndarray
    class_counts: np.ndarray | None = None
    class_pictures: np.ndarray | None = None
    difference: tuple[float, float, int, int] | None = None

    @property
    def pictures(self) -> int:
        """Number of choices."""
        return int(self.counts[0].sum())

    @property
    def order(self) -> np.ndarray:
        """The channels, from the one that is chosen most often; of equals the first."""
        return np.argsort(-self.counts.sum(0), kind="stable")

    @property
    def ranks(self) -> np.ndarray:
        """Per cent of the pictures, ``(k, C)``, channels in :attr:`order`."""
        return 100 * self.counts[:, self.order] / self.pictures

    @property
    def classes(self) -> np.ndarray:
        """How much more often a class chooses a channel than all pictures do, in percentage
        points, ``(A, C)``, channels in :attr:`order`; NaN where no picture has the class."""
        known = np.where(self.class_pictures > 0, self.class_pictures, np.nan)
        own = self.class_counts / known[:, None]
        return 100 * (own - self.counts.sum(0) / self.pictures)[:, self.order]


def draw_selection_maps(layers: Mapping[str, SelectionMap], names: Sequence[str] = ()) -> Figure:
    """Draw a row of two maps a layer: channels by ranks and, if known, channels by classes.

    Args:
        layers: By name.
        names: Of the classes.
    """
    with_classes = any(each.class_counts is not None for each in layers.values())
    columns = 2 if with_classes else 1
    figure = Figure(figsize=(0.5 + 5.2 * columns, 1.75 * len(layers) + 0.9), layout="constrained")
    axes = figure.subplots(len(layers), columns, squeeze=False)
    # Few pairs are far above the rest.
    shade = PowerNorm(0.5, 0, max(each.ranks.max() for each in layers.values()))
    known = [each.classes for each in layers.values() if each.class_counts is not None]
    # One rare class would leave the others pale.
    bound = max((float(np.nanpercentile(abs(each), 99.5)) for each in known), default=0) or 1
    for row, (name, each) in zip(axes, layers.items(), strict=True):
        selected, channels = each.counts.shape
        left = row[0].imshow(each.ranks, cmap="magma_r", norm=shade, aspect="auto")
        row[0].set_title(
            f"{name}\n{selected} of {channels} channels; chance {100 / channels:.2g} % a cell",
            fontsize="small",
        )
        row[0].yaxis.set_major_locator(MaxNLocator(4, integer=True))
        row[0].set_ylabel("rank")
        if each.class_counts is None:
            for axis in row[1:]:
                axis.set_axis_off()
            continue
        right = row[1].imshow(
            each.classes,
            cmap="RdBu_r",
            vmin=-bound,
            vmax=bound,
            aspect="auto",
            interpolation="nearest",
        )
        title = "difference of classes"
        if each.difference:
            title = (
                "classes differ from the rest by {:.1%}, random groups by {:.1%}\n"
                "({} of {} groupings as far)".format(*each.difference)
            )
        row[1].set_title(title, fontsize="small")
        if len(names) <= MOST_NAMES:
            labels = [f"{n} ({c})" for n, c in zip(names, each.class_pictures, strict=True)]
            row[1].set_yticks(range(len(names)), labels, fontsize="small")
        else:
            row[1].set_ylabel("class")
    for axis in axes[-1]:
        axis.set_xlabel("channels, from the one chosen most often")
    bars = dict(location="bottom", aspect=45, pad=0.01)
    figure.colorbar(left, ax=axes[:, 0], label="chosen at this rank, % of pictures", **bars)
    if known:
        label = "chosen more often for this class, percentage points"
        figure.colorbar(right, ax=axes[:, 1], label=label, extend="both", **bars)
    return figure
