"""The networks of the paper's Table 7: our counts, beside those that were published."""

from __future__ import annotations

from collections.abc import Callable

from mmengine.config import Config

from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.published import Published, published_figures

from .complexity import config_complexity
from .tables import markdown_table

# Table 7 counts MACs.
COUNTS = ("parameters", "macs", "activations")
# Classes, side of the image, and whether branches are merged, of the counts that are compared.
FORM = (100, 224, True)


def difference_percent(count: int, millions: float) -> float:
    """By how much a count differs from a published one."""
    return round(100 * (count / 1e6 / millions - 1), 2)


def compare_published(report: Callable[[str], None] = lambda name: None) -> list[dict]:
    """Count the networks of Table 7, for 100 classes and in every form that was published.

    Args:
        report: Is called with the name of every network, before it is counted.

    Returns:
        An entry a network: ``model``, its counts for 100 classes at 224x224, and ``published``: the
        figures of the paper and of others with ``ours`` and ``difference_percent``.
    """
    figures = [figure for figure in published_figures() if figure.parameters]
    networks = []
    for name in (figure.name for figure in figures if figure.source == "Table 7"):
        report(name)
        own = [figure for figure in figures if figure.name == name]
        counted = {}
        for classes, size, merged in dict.fromkeys([FORM, *map(_form, own)]):
            cfg = Config.fromfile(FOLDER / own[0].config)
            counts = config_complexity(cfg, (size, size), classes, merged)
            counted[classes, size, merged] = {key: counts[key] for key in COUNTS}
        entry = dict(model=name.removesuffix("_cifar100"), **counted[FORM])
        entry["published"] = [_beside(figure, counted[_form(figure)]) for figure in own]
        networks.append(entry)
    return networks


def _form(figure: Published) -> tuple[int, int, bool]:
    return figure.classes, figure.input_size, figure.merged


def _beside(figure: Published, ours: dict[str, int]) -> dict:
    printed = zip(COUNTS, (figure.parameters, figure.flops, figure.activations), strict=True)
    millions = {key: float(count) / 1e6 for key, count in printed if count}
    return dict(
        source=figure.source,
        num_classes=figure.classes,
        input_size=figure.input_size,
        merged=figure.merged,
        millions=millions,
        ours=ours,
        difference_percent={
            key: difference_percent(ours[key], value) for key, value in millions.items()
        },
    )


def published_table(networks: list[dict]) -> str:
    """The entries of :func:`compare_published` in Markdown."""
    headers = ["network", *(f"{name}, M" for name in ("parameters", "MACs", "activations"))]
    rows = []
    for entry in networks:
        published = []
        for row in entry["published"]:
            by = row["source"]
            if row["num_classes"] != 100:
                by += f", {row['num_classes']} classes"
            if row["input_size"] != 224:
                by += f", {row['input_size']} pixels"
            if not row["merged"]:
                by += ", branches not merged"
            theirs, percent = row["millions"], row["difference_percent"]
            published.append(
                f"{theirs['parameters']:.2f}, {theirs['macs']:g} "
                f"({percent['parameters']:+.1f} %, {percent['macs']:+.1f} %; {by})"
            )
        counts = [f"{entry[key] / 1e6:.3f}" for key in COUNTS]
        rows.append([f"`{entry['model']}`", *counts, "<br>".join(published)])
    return markdown_table([*headers, "published: parameters, MACs"], rows)
