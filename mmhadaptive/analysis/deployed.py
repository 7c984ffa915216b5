"""What became of trained networks on their way to a product, from the records of the tools."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import load

from .results import METRICS
from .tables import markdown_table


def _rows(docs: Path, kind: str) -> list[tuple[str, dict]]:
    """The records ``results/KIND_NAME.json`` by link."""
    paths = sorted((docs / "results").glob(f"{kind}_*.json"))
    return [(f"[{p.stem.removeprefix(f'{kind}_')}](results/{p.name})", load(p)) for p in paths]


def _accuracy(record: dict) -> list[str]:
    """The metric that counts most, before and after, in per cent."""
    for key in ("coco/bbox_mAP", "accuracy/top1"):
        if key in record["before"]:
            name, factor = METRICS[key]
            values = [factor * record[when][key] for when in ("before", "after")]
            return [name, *(f"{value:.2f}" for value in values)]
    return ["-"] * 3


def frozen_table(docs: Path) -> str:
    """How much of the choices and of the accuracy a frozen selection keeps, in Markdown."""
    rows = []
    for link, record in _rows(docs, "frozen"):
        shares = [f"{100 * record[key]:.1f}" for key in ("by_set", "by_chance", "by_rank")]
        rows.append([link, record["pictures"], *shares, *_accuracy(record)])
    headers = ["network", "pictures", "choices kept, %", "by chance", "at the same rank"]
    return markdown_table([*headers, "accuracy", "before", "frozen"], rows)


def int8_table(docs: Path) -> str:
    """Accuracy, size and latency of 8 bits beside float32, in Markdown."""
    rows = []
    for link, record in _rows(docs, "int8"):
        latency = {form: times["median"] for form, times in record["latency"].items()}
        ratio = latency["int8"] / latency["float32"]
        rows.append(
            [
                *(link, *_accuracy(record)),
                " → ".join(f"{record['bytes'][form] / 1e6:.1f}" for form in ("float32", "int8")),
                *(f"{latency[form]:.2f}" for form in ("float32", "int8")),
                f"{ratio:.2f}{', slower' if ratio > 1 else ''}",
            ]
        )
    headers = ["network", "accuracy", "float32", "int8", "MB"]
    return markdown_table([*headers, "ms, float32", "ms, int8", "ratio"], rows)
