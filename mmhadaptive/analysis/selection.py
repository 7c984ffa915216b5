"""Which channels a model chooses over pictures, and whether its choice adapts to them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from mmengine.fileio import load
from torch import Tensor, nn

from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.layers import (
    SelectionEntropy,
    choosing_layers,
    count_choices,
    record_choices,
)

from .tables import markdown_table

#: Random groupings that a difference between classes is compared with.
GROUPINGS = 99


def entropy_bits(counts: Tensor) -> float:
    """``-sum p log2 p`` of the shares ``p`` of counts."""
    return float(torch.special.entr(counts.double() / counts.sum()).sum()) / math.log(2)


@dataclass(frozen=True)
class Choices:
    """What one layer chose.

    Args:
        index: The chosen channels of every picture by rank, ``(P, k)``.
        channels: Number ``C`` of channels.
        draw: Entropy and information, in bits, of the first choice as the training would draw it
            for these pictures; see :func:`mmhadaptive.layers.selection_entropy`.
    """

    index: Tensor
    channels: int
    draw: tuple[float, float] | None = None

    @cached_property
    def counts(self) -> Tensor:
        """How often rank ``r`` was channel ``c``, ``(k, C)``."""
        return count_choices(self.index, self.channels)

    @property
    def entropy(self) -> float:
        """Entropy in bits of which channel is chosen, at any rank: ``log2 k`` where all pictures
        have the same channels, ``log2 C`` where all channels are chosen equally often."""
        return entropy_bits(self.counts.sum(0))

    @property
    def rank_entropy(self) -> float:
        """Mean over the ranks of the entropy in bits of their channel, 0 to ``log2 C``."""
        return sum(map(entropy_bits, self.counts)) / len(self.counts)

    @property
    def shared(self) -> float:
        """The mean share of channels that two pictures have in common: 1 where all have the same,
        ``k / C`` by chance."""
        often, pictures = self.counts.sum(0).double(), len(self.index)
        pairs = pictures * (pictures - 1) * self.index.shape[1]
        return float((often * (often - 1)).sum()) / pairs

    @property
    def never(self) -> int:
        """Number of channels that no picture chose."""
        return int((self.counts.sum(0) == 0).sum())

    @property
    def always(self) -> int:
        """Number of channels that every picture chose."""
        return int((self.counts.sum(0) == len(self.index)).sum())


@dataclass(frozen=True)
class ClassChoices:
    """What one layer chose for the classes.

    Args:
        counts: In how many pictures of class ``a`` channel ``c`` was chosen, ``(A, C)``.
        pictures: Number of pictures of each class, ``(A,)``.
        difference: See :func:`class_choices`; None where no class can be told from the rest.
        groupings: The same of each random grouping.
    """

    counts: Tensor
    pictures: Tensor
    difference: float | None
    groupings: tuple[float, ...] = ()

    @property
    def by_chance(self) -> float:
        """The mean difference of the random groupings."""
        return sum(self.groupings) / len(self.groupings)

    @property
    def as_large(self) -> int:
        """How many random groupings differ at least as much as the classes."""
        return sum(value >= self.difference for value in self.groupings)

    @property
    def comparison(self) -> tuple[float, float, int, int]:
        """The difference, that by chance, and how many of how many groupings are as large."""
        return self.difference, self.by_chance, self.as_large, len(self.groupings)


def _class_counts(index: Tensor, channels: int, pairs: Tensor, classes: int) -> Tensor:
    codes = pairs[1][:, None] * channels + index[pairs[0]].long()
    return torch.bincount(codes.flatten(), minlength=classes * channels).view(classes, channels)


def _difference(counts: Tensor, pictures: Tensor, choices: Choices) -> float | None:
    """Mean over the classes of the total variation distance to the rest."""
    often, all_pictures = choices.counts.sum(0), len(choices.index)
    told = (pictures > 0) & (pictures < all_pictures)
    if not told.any():
        return None
    counts, own = counts[told].double(), pictures[told].double()[:, None]
    ranks = choices.index.shape[1]
    inside, outside = counts / (own * ranks), (often - counts) / ((all_pictures - own) * ranks)
    return float((inside - outside).abs().sum(1).mean()) / 2


def class_choices(
    choices: Choices,
    labels: Sequence[Collection[int]],
    classes: int,
    groupings: int = GROUPINGS,
    seed: int = 0,
) -> ClassChoices:
    """How the choice differs between classes.

    Of a class, the channels chosen for its pictures have shares ``p``, those for all other pictures
    shares ``q``; the total variation distance ``sum |p - q| / 2`` is 0 where both are equal and 1
    where they have no channel in common. The difference is its mean over the classes that some
    pictures have and some have not. Few pictures differ by chance alone, so the same is computed
    with the pictures dealt anew to groups of the same sizes.

    Args:
        choices: Of one layer.
        labels: The classes of each picture: one of a classifier, any number of a detector.
        classes: Number of classes.
        groupings: Number of random groupings.
        seed: Of the random groupings.

    Raises:
        UserValueError: There are not as many choices as pictures.
    """
    if len(labels) != len(choices.index):
        raise UserValueError(
            f"a layer chose {len(choices.index)} times for {len(labels)} pictures; classes can be "
            "told apart only where it chooses once a picture"
        )
    pairs = torch.tensor(
        [(picture, label) for picture, found in enumerate(labels) for label in sorted(found)],
        dtype=torch.int64,
    ).view(-1, 2)
    if len(pairs) and not 0 <= int(pairs[:, 1].min()) <= int(pairs[:, 1].max()) < classes:
        raise UserValueError(f"labels must be in 0..{classes - 1}, got {pairs[:, 1].tolist()}")
    pairs = pairs.T
    pictures = torch.bincount(pairs[1], minlength=classes)
    counts = _class_counts(choices.index, choices.channels, pairs, classes)
    difference = _difference(counts, pictures, choices)
    if difference is None:
        return ClassChoices(counts, pictures, None)
    generator = torch.Generator().manual_seed(seed)
    by_chance = []
    for _ in range(groupings):
        dealt = torch.randperm(len(labels), generator=generator)
        moved = torch.stack([dealt[pairs[0]], pairs[1]])
        other = _class_counts(choices.index, choices.channels, moved, classes)
        by_chance.append(_difference(other, pictures, choices))
    return ClassChoices(counts, pictures, difference, tuple(by_chance))


def measure_choices(model: nn.Module, loader: Iterable) -> dict[str, Choices]:
    """What every layer of a model chooses, without noise, by its name.

    Args:
        model: A model in any mode.
        loader: Batches of pictures; see :func:`mmhadaptive.layers.record_choices`, also for what it
            raises.
    """
    layers = choosing_layers(model)
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}

    def see(chosen: dict[str, Tensor]) -> None:
        for name, index in chosen.items():
            # Of a large set of pictures an eighth of the memory is enough.
            small = layers[name].in_channels < 2**15
            parts[name].append(index.to(torch.int16) if small else index)

    draws = {name: SelectionEntropy() for name in layers}

    def listen(name: str):
        return lambda module, inputs, scores: draws[name].add(scores)

    listeners = [layer.scores.register_forward_hook(listen(n)) for n, layer in layers.items()]
    try:
        record_choices(model, loader, see)
    finally:
        for listener in listeners:
            listener.remove()
    return {
        name: Choices(
            torch.cat(parts[name]),
            layer.in_channels,
            tuple(float(value) for value in draws[name].result()),
        )
        for name, layer in layers.items()
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def choices_summary(
    choices: dict[str, Choices], by_class: dict[str, ClassChoices] | None = None
) -> dict[str, dict]:
    """By layer, the figures that say whether its choice adapts, for a record."""
    rows = {}
    for name, layer in choices.items():
        selected = layer.index.shape[1]
        rows[name] = dict(
            channels=layer.channels,
            selected=selected,
            entropy=_rounded(layer.entropy),
            entropy_range=[_rounded(math.log2(n)) for n in (selected, layer.channels)],
            rank_entropy=_rounded(layer.rank_entropy),
            shared=_rounded(layer.shared),
            shared_by_chance=_rounded(selected / layer.channels),
            never=layer.never,
            always=layer.always,
        )
        if layer.draw:
            entropy, information = layer.draw
            rows[name] |= dict(
                draw_entropy=_rounded(entropy), draw_information=_rounded(information)
            )
        classes = (by_class or {}).get(name)
        if classes and classes.difference is not None:
            difference, by_chance, as_large, groupings = classes.comparison
            rows[name] |= dict(
                class_difference=_rounded(difference),
                class_difference_by_chance=_rounded(by_chance),
                groupings=groupings,
                groupings_as_large=as_large,
            )
    return rows


def summary_lines(summary: dict[str, dict]) -> str:
    """The summary for a terminal, a line a layer."""
    width = max(len("layer"), *map(len, summary))
    lines = [
        f"{'layer':{width}}  chosen   entropy, bits (range)   two pictures share (chance)  "
        "never  always  the picture decides in training, bits  classes differ (chance; as far)"
    ]
    for name, row in summary.items():
        low, high = row["entropy_range"]
        line = (
            f"{name:{width}}  {row['selected']:>2}/{row['channels']:<4}"
            f"  {row['entropy']:5.2f} ({low:.2f} to {high:.2f})"
            f"         {row['shared']:6.1%} ({row['shared_by_chance']:.1%})         "
            f"  {row['never']:5}  {row['always']:6}"
        )
        information = row.get("draw_information")
        line += f"{'-' if information is None else f'{information:.3f}':>37}"
        if "class_difference" in row:
            line += (
                f"  {row['class_difference']:6.1%} ({row['class_difference_by_chance']:.1%}; "
                f"{row['groupings_as_large']} of {row['groupings']})"
            )
        lines.append(line)
    return "\n".join(lines)


def _as_csv(rows: Iterable[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def choices_csv(choices: dict[str, Choices]) -> str:
    """Columns layer, channel, rank (from 0) and count, with the counts of zero."""
    rows = [("layer", "channel", "rank", "count")]
    for name, layer in choices.items():
        for channel, column in enumerate(layer.counts.T.tolist()):
            rows += [(name, channel, rank, count) for rank, count in enumerate(column)]
    return _as_csv(rows)


def classes_csv(by_class: dict[str, ClassChoices], names: Sequence[str]) -> str:
    """Columns layer, class, pictures (of the class), channel and count, without counts of zero."""
    rows = [("layer", "class", "pictures", "channel", "count")]
    for name, layer in by_class.items():
        for label, channel in layer.counts.nonzero().tolist():
            found = int(layer.pictures[label]), channel, int(layer.counts[label, channel])
            rows.append((name, names[label], *found))
    return _as_csv(rows)


def _cell(row: dict, key: str, factor: int, digits: int = 1) -> str:
    return f"{factor * row[key]:.{digits}f}" if row.get(key) is not None else "-"


def selection_table(docs: Path) -> str:
    """Whether the choice adapts, from the records ``results/selection_*.json``, in Markdown."""
    rows = []
    for path in sorted((docs / "results").glob("selection_*.json")):
        record = load(path)
        link = f"[{path.stem.removeprefix('selection_')}](results/{path.name})"
        for name, layer in record["layers"].items():
            name = name.removeprefix("backbone.").removesuffix(".expand")
            low, high = layer["entropy_range"]
            untrained = layer.get("untrained", {})
            rows.append(
                [
                    *(link, record["pictures"], f"`{name}`"),
                    f"{layer['selected']} of {layer['channels']}",
                    *(_cell(layer, key, 100) for key in ("shared", "shared_by_chance")),
                    _cell(untrained, "shared", 100),
                    f"{layer['entropy']:.2f} ({low:.2f} to {high:.2f})",
                    *(layer[key] for key in ("always", "never")),
                    _cell(layer, "class_difference", 100),
                    _cell(layer, "class_difference_by_chance", 100),
                    _cell(untrained, "class_difference", 100),
                    _cell(layer, "draw_information", 1, 3),
                ]
            )
    headers = ["network", "pictures", "layer", "chosen", "two pictures share, %", "by chance"]
    headers += ["untrained", "entropy, bits (range)", "always", "never"]
    headers += ["classes differ, %", "random groups", "untrained", "in training, bits"]
    return markdown_table(headers, rows)
