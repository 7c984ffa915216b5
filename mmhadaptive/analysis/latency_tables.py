"""The record of ``tools/analysis/benchmark_latency.py`` in Markdown."""

from __future__ import annotations

from .latency import FORMS
from .tables import markdown_table

OURS = "hadaptive_s"
#: Of two networks the first one's latency is to be at most so many times the second one's.
TARGETS = (
    ("hadaptive_s", "mobilenetv4_conv_small", 0.8),
    ("hadaptive_s", "mobilenetv3_small", 1.4),
    ("hadaptive_m", "hadaptive_s", 2.2),
    ("hadaptive_l", "hadaptive_s", 4.0),
)


def _forms(rows: list[dict]) -> list[str]:
    measured = {form for row in rows for form in row["milliseconds"]}
    return [form for form in FORMS if form in measured]


def _cell(row: dict, form: str) -> str:
    if form not in row["milliseconds"]:
        return "-"
    times = row["milliseconds"][form]
    return f"{times['median']:.2f} ({times['q1']:.2f} to {times['q3']:.2f})"


def _ratio(row: dict, other: dict, form: str) -> str:
    """Of the medians, or a dash."""
    times, others = row["milliseconds"], other["milliseconds"]
    if form not in times or form not in others:
        return "-"
    return f"{times[form]['median'] / others[form]['median']:.2f}"


def best_on_one_thread(row: dict) -> float:
    """The lowest median of the forms that run on one thread, in milliseconds."""
    return min(
        times["median"] for form, times in row["milliseconds"].items() if FORMS[form].threads == 1
    )


def latency_table(rows: list[dict]) -> str:
    """Medians and quartiles of the networks or detectors, in milliseconds, by form."""
    forms = _forms(rows)
    headers = ["", "parameters, M", "MACs, M", *(f"{FORMS[form].title}" for form in forms)]
    lines = [
        [
            f"`{row['network']}`",
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['macs'] / 1e6:.0f}",
            *(_cell(row, form) for form in forms),
        ]
        for row in rows
    ]
    return markdown_table(headers, lines)


def ratios_table(rows: list[dict]) -> str:
    """Latencies as multiples of those of Hadaptive-Net-S: measured, by form, and the paper's."""
    by_name = {row["network"]: row for row in rows}
    if OURS not in by_name:
        return ""
    forms, one = _forms(rows), by_name[OURS]
    headers = [
        f"times `{OURS}`",
        "paper, CPU",
        *(FORMS[form].title for form in forms),
        "the best of each, 1 thread",
    ]
    lines = [
        [
            f"`{row['network']}`",
            f"{row['paper']['cpu'] / one['paper']['cpu']:.2f}",
            *(_ratio(row, one, form) for form in forms),
            f"{best_on_one_thread(row) / best_on_one_thread(one):.2f}",
        ]
        for row in rows
    ]
    return markdown_table(headers, lines)


def targets_table(rows: list[dict]) -> str:
    """The ratios that :data:`TARGETS` bound, of the networks that were measured."""
    by_name = {row["network"]: row for row in rows}
    forms = _forms(rows)
    lines = []
    for name, other, target in TARGETS:
        if name not in by_name or other not in by_name:
            continue
        first, second = by_name[name], by_name[other]
        lines.append(
            [
                f"`{name}` to `{other}`",
                f"{target:.1f}",
                f"{first['paper']['cpu'] / second['paper']['cpu']:.2f}",
                *(_ratio(first, second, form) for form in forms),
                f"{best_on_one_thread(first) / best_on_one_thread(second):.2f}",
            ]
        )
    headers = [
        "latencies",
        "at most",
        "paper, CPU",
        *(FORMS[form].title for form in forms),
        "the best of each, 1 thread",
    ]
    return markdown_table(headers, lines)
