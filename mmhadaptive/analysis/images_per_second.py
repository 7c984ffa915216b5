"""How many images a second the data pipelines deliver and a training takes, as a table."""

from __future__ import annotations

from .tables import markdown_table


def images_table(rows: list[dict]) -> str:
    """The entries ``images_per_second`` of a record of ``tools/analysis/benchmark_data.py``.

    The percentages are those of the network alone that the trainings reach.
    """
    lines = []
    for row in rows:
        network = row["network"]
        trainings = [row[f"{name}_training"] for name in ("stock", "in_memory")]
        lines.append(
            [
                row["size"],
                *(f"{row[f'{name}_input']:,.0f}" for name in ("stock", "in_memory")),
                *(f"{rate:,.0f} ({100 * rate / network:.0f} %)" for rate in trainings),
                f"{network:,.0f}",
            ]
        )
    headers = ["pixels", "input, stock", "in memory", "training, stock", "in memory"]
    return markdown_table([*headers, "network alone"], lines)
