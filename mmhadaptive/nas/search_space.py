"""Search spaces: architecture tables in which a row may have candidates.

A row with a choice is a list of rows for :func:`~mmhadaptive.models.build_block`, or a dict of them
by the names that they have in tables. ``('blank', channels)`` passes its input on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.models.blocks import STRIDES, row_stride

BLANK = "blank"
Row = Sequence
Candidates = dict[str, Row]


@dataclass
class Layer:
    """A row of a search space.

    Attributes:
        place: Where it stands: ``arch[3][1]``.
        channels: Number of output channels.
        stride: Its stride.
        candidates: The rows to choose from, by name; None where there is no choice.
    """

    place: str
    channels: int
    stride: int
    candidates: Candidates | None


def candidates_of(row: Row | Mapping) -> Candidates | None:
    """The candidates of a row by name; None if there is no choice."""
    if isinstance(row, Mapping):
        return dict(row)
    if len(row) and isinstance(row[0], str):
        return None
    names = [_name(candidate) for candidate in row]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserValueError(f"two candidates are called {twice!r}: give names, in a dict")
    return dict(zip(names, row, strict=True))


def _name(row: Row) -> str:
    """What a row is called: its kind, sizes without the channels and the stride, and the rest."""
    if len(row) < 2:
        raise UserValueError("a row without entries" if not len(row) else f"too short a row, {row}")
    kind, _, *rest = row
    stride = STRIDES.get(kind, len(row)) - 2
    sizes, others = rest[:stride], rest[stride + 1 :]
    words = [kind, "-".join(map(str, sizes)), *map(str, others)]
    return " ".join(word for word in words if word)


def layers_of(arch: Sequence[Sequence[Row | Mapping]], in_channels: int = 3) -> Iterator[Layer]:
    """The rows of a search space in order, checked.

    Args:
        arch: Stages of rows.
        in_channels: Number of channels of the image.

    Raises:
        ValueError: A row has no or only one candidate, candidates of different widths or strides,
            a blank one where the stride or the width changes, or a candidate of an unknown kind.
            The message names the row.
    """
    for stage, rows in enumerate(arch):
        for number, row in enumerate(rows):
            place = f"arch[{stage}][{number}]"
            try:
                layer = _layer(place, row, in_channels)
            except (ValueError, TypeError, IndexError) as error:
                raise UserValueError(f"{place}: {error}") from error
            in_channels = layer.channels
            yield layer


def _layer(place: str, row: Row | Mapping, in_channels: int) -> Layer:
    candidates = candidates_of(row)
    if candidates is None:
        return Layer(place, row[1], _stride(row), None)
    if len(candidates) < 2:
        raise UserValueError(
            "a choice without candidates"
            if not candidates
            else f"a choice of one candidate, {next(iter(candidates))}: write its row alone"
        )
    widths = {name: each[1] for name, each in candidates.items()}
    if len(set(widths.values())) > 1:
        raise UserValueError(f"candidates of different widths: {_listed(widths)}")
    channels = next(iter(widths.values()))
    strides = {name: _stride(each) for name, each in candidates.items() if each[0] != BLANK}
    if len(set(strides.values())) > 1:
        raise UserValueError(f"candidates of different strides: {_listed(strides)}")
    stride = next(iter(strides.values()), 1)
    blank = next((name for name, each in candidates.items() if each[0] == BLANK), None)
    if blank is not None and (stride != 1 or channels != in_channels):
        raise UserValueError(
            f"{blank} passes its input on, but this row has the stride {stride} and makes "
            f"{channels} of {in_channels} channels"
        )
    return Layer(place, channels, stride, candidates)


def _stride(row: Row) -> int:
    if not len(row) or row[0] not in STRIDES:
        known = ", ".join(STRIDES)
        raise UserValueError(f"a row is {known}, or {BLANK} in a choice, got {row}")
    return row_stride(row)


def _listed(values: Mapping) -> str:
    return ", ".join(f"{name} has {value}" for name, value in values.items())


def derive(arch: Sequence[Sequence[Row | Mapping]], chosen: Sequence[str]) -> list[list[Row]]:
    """The architecture table of a space's chosen candidates.

    Args:
        arch: The search space.
        chosen: For each row with a choice, in order, the name of its candidate. A blank one leaves
            the row out.
    """
    names = iter(chosen)
    table = []
    for rows in arch:
        stage = []
        for row in rows:
            candidates = candidates_of(row)
            row = row if candidates is None else candidates[next(names)]
            if row[0] != BLANK:
                stage.append(tuple(row))
        table.append(stage)
    return table
