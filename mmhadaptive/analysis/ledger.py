"""The ledger of the paper: every equation, algorithm, table and figure, and where it is here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from mmengine.fileio import load

from mmhadaptive.io.published import Published, published_figures

from .results import measured
from .tables import markdown_table

COUNTS = {"parameters": "parameters", "flops": "FLOPs"}


@dataclass(frozen=True)
class Value:
    """A figure of the paper, and ours.

    Args:
        of: The config, with ``original`` for the network before the replacement, and the quantity.
        printed: By the paper; a count in millions, a metric in per cent.
        ours: The same by a record, or None.
        record: Its path below the docs, or None.
        is_count: Whether it is a count, which is exact on both sides, and not a metric.
    """

    of: str
    printed: Decimal
    ours: Decimal | None
    record: str | None
    is_count: bool

    @property
    def agrees(self) -> bool:
        """Whether the two differ by less than a unit of the last digit that is printed.

        The paper rounds some figures and cuts others off.
        """
        unit = Decimal((0, (1,), self.printed.as_tuple().exponent))
        return self.ours is not None and abs(self.ours - self.printed) < unit


@dataclass(frozen=True)
class Entry:
    """A row of ``docs/paper.yml``.

    Args:
        of: ``Eq. 1``, say.
        what: In a few words.
        code: Dotted names of the package, and paths below the root of the project.
        command: What reproduces or tests it.
        record: Its path below the docs, where no figure names one.
        figures: All that the metafiles have of it.
        differs: Which of our counts are not as the paper prints them.
        note: What differs, and what the paper has wrong.
    """

    of: str
    what: str
    code: list[str] = field(default_factory=list)
    command: str | None = None
    record: str | None = None
    figures: list[Value] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    note: str = ""


def ledger(docs: Path) -> list[Entry]:
    """Read ``docs/paper.yml``, with the figures of the metafiles and of the records."""
    counted = dict(_counted(docs))
    values: dict[str, list[Value]] = {}
    for figure in published_figures():
        values.setdefault(figure.source, []).extend(_values(figure, counted, docs))
    return [
        Entry(**dict(row, figures=values[row["figures"]] if "figures" in row else []))
        for row in load(docs / "paper.yml")
    ]


def _values(figure: Published, counted: dict, docs: Path) -> Iterator[Value]:
    of = f"{figure.name}, original" if figure.original else figure.name
    for key, name in COUNTS.items():
        if printed := getattr(figure, key):
            ours, record = counted.get((figure.source, of, key), (None, None))
            ours = ours and Decimal(ours).scaleb(-6)
            yield Value(f"{of} {name}", printed.scaleb(-6), ours, record, is_count=True)
    record = f"results/{figure.name}.json"
    known = measured(load(docs / record)) if (docs / record).is_file() else {}
    for name, printed in figure.metrics.items():
        ours = None if figure.original else known.get(name)
        yield Value(
            f"{of} {name}",
            Decimal(str(printed)),
            ours and Decimal(ours),
            ours and record,
            is_count=False,
        )


def _counted(docs: Path) -> Iterator[tuple[tuple[str, str, str], tuple[int, str]]]:
    """Our counts of what the paper counted, by source, network and key, and their record."""
    record = "results/complexity.json"
    for network in load(docs / record)["networks"]:
        for row in network["published"]:
            for key, ours in (("parameters", "parameters"), ("flops", "macs")):
                place = row["source"], f"{network['model']}_cifar100", key
                yield place, (row["ours"][ours], record)
    record = "results/replacement.json"
    for network in load(docs / record)["networks"]:
        names = f"{network['config']}, original", network["config"]
        for source in ("Table 5", "Table 8"):
            for key in COUNTS:
                for name, count in zip(names, network[key], strict=True):
                    yield (source, name, key), (count, record)


def ledger_table(docs: Path) -> str:
    """The entries in Markdown, with how many of the paper's figures are ours too."""
    rows = []
    for entry in ledger(docs):
        counts = [value for value in entry.figures if value.is_count]
        metrics = [value for value in entry.figures if not value.is_count]
        known = [value for value in metrics if value.ours is not None]
        theirs, ours = [], []
        if counts:
            theirs.append(f"{len(counts)} counts")
            ours.append(f"{sum(value.agrees for value in counts)} as printed")
        for value in counts:
            if not value.agrees:
                mine = "-" if value.ours is None else f"{value.ours:.3f}"
                ours.append(f"{value.of}: {mine} for {value.printed:f} M")
        if metrics:
            theirs.append(f"{len(metrics)} [accuracies](results.md)")
            ours.append(f"{len(known)} measured")
        records = {value.record for value in entry.figures} | {entry.record}
        links = [f"[{Path(path).stem}]({path})" for path in sorted(filter(None, records))]
        code = [f"`{place}`" for place in entry.code]
        command = [f"`{entry.command}`"] if entry.command else []
        cells = [code, command, theirs, ours, links, [entry.note] if entry.note else []]
        rows.append([entry.of, entry.what, *("<br>".join(cell) or "-" for cell in cells)])
    headers = ["paper", "what", "where", "command", "its figures", "ours", "record", "differences"]
    return markdown_table(headers, rows)
