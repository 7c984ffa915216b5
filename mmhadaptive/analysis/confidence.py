"""Tables of the candidates' probabilities, in the layout of the paper (Tables 3 and 10 to 12)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .tables import markdown_table


@dataclass
class ConfidenceRow:
    """A row of a table.

    Attributes:
        place: The row of the architecture.
        channels: Number of its output channels.
        stride: Its stride.
        confidence: The probabilities by the candidates' names; None for a row without a choice.
    """

    place: str
    channels: int
    stride: int
    confidence: dict[str, float] | None


def columns_of(rows: Sequence[ConfidenceRow]) -> list[str]:
    """The names of all candidates, in the order in which most rows have them; blank at the end."""
    names: list[str] = []
    for row in rows:
        previous = -1
        for name in row.confidence or ():
            if name in names:
                previous = names.index(name)
            else:
                previous += 1
                names.insert(previous, name)
    return sorted(names, key=lambda name: name.lower() == "blank")


def percent(value: float) -> str:
    """A probability with two decimals, of which one below a hundredth of a per cent has none."""
    return "<0.01%" if value < 5e-5 else f"{100 * value:.2f}%"


def confidence_table(rows: Sequence[ConfidenceRow]) -> str:
    """Channels, underlined where the row halves the map, and confidences; the largest is bold."""
    columns = columns_of(rows)
    lines = []
    for row in rows:
        channels = f"<u>{row.channels}</u>" if row.stride > 1 else row.channels
        values = row.confidence or {}
        cells = {name: percent(value) for name, value in values.items()}
        if values:
            best = max(values, key=values.__getitem__)
            cells[best] = f"**{cells[best]}**"
        lines.append([channels, *(cells.get(name, "-") for name in columns)])
    return markdown_table(["channels", *columns], lines)


def confidence_csv(rows: Sequence[ConfidenceRow]) -> str:
    """The same as CSV: row, channels, stride, and the probabilities, empty where there is none."""
    columns = columns_of(rows)
    lines = [["row", "channels", "stride", *columns]]
    for row in rows:
        values = row.confidence or {}
        cells = [values.get(name, "") for name in columns]
        lines.append([row.place, row.channels, row.stride, *cells])
    return _csv(lines)


def history_csv(places: Sequence[str], history: Sequence[Sequence[Mapping[str, float]]]) -> str:
    """The probabilities of all epochs as CSV, a line each: epoch, row, candidate, confidence."""
    lines = [["epoch", "row", "candidate", "confidence"]]
    for epoch, confidences in enumerate(history, 1):
        for place, confidence in zip(places, confidences, strict=True):
            lines += [[epoch, place, name, value] for name, value in confidence.items()]
    return _csv(lines)


def _csv(lines: Sequence[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
