"""The record of ``tools/analysis/benchmark_search.py`` as a table."""

from __future__ import annotations

from collections.abc import Sequence

from .tables import markdown_table


def search_costs_table(rows: Sequence[dict]) -> str:
    """Milliseconds and MiB, and their ratios to those of the first row, in Markdown.

    Args:
        rows: Of ``candidates``, 0 for the network by itself, ``seconds`` and ``bytes``.
    """
    first = rows[0]
    return markdown_table(
        ["", "ms", "ratio", "MiB", "ratio"],
        [
            [
                f"a search step, {row['candidates']} candidates"
                if row["candidates"]
                else "two training steps of Hadaptive-Net-S",
                f"{1000 * row['seconds']:.0f}",
                f"{row['seconds'] / first['seconds']:.2f}",
                f"{row['bytes'] / 2**20:.0f}",
                f"{row['bytes'] / first['bytes']:.2f}",
            ]
            for row in rows
        ],
    )
