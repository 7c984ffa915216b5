"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(headers: Sequence, rows: Iterable[Sequence]) -> str:
    """A table whose cells are the entries as :class:`str` shows them; it ends with a newline."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
