"""What the paper printed of accuracy and speed beside what records of this project show."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import load

from mmhadaptive.io.published import Published, published_figures

from .tables import markdown_table

# By the name in a record, that of the metafiles, and the factor from one to the other.
METRICS = {
    "accuracy/top1": ("Top 1 Accuracy", 1),
    "accuracy/top5": ("Top 5 Accuracy", 1),
    "coco/bbox_mAP": ("box AP", 100),
    "coco/bbox_mAP_50": ("box AP50", 100),
    "coco/bbox_mIoU": ("mIoU", 100),
}


def measured(record: dict) -> dict[str, str]:
    """What a record shows of accuracy, in per cent, by the names of the metafiles.

    Records are those of ``tools/test.py``, of ``tools/analysis/record_training.py``, and
    ``replacement_cifar100.json``; any other shows nothing. Of networks with replaced blocks the
    names begin with the config's.
    """
    found = {}
    for key, (name, factor) in METRICS.items():
        if key in record.get("metrics", {}):
            found[name] = f"{factor * record['metrics'][key]:.2f}"
    if record.get("last_top1") is not None:
        found["Top 1 Accuracy"] = f"{record['last_top1']:.2f}"
    if "first_loss" in record:
        found["training loss, first → last epoch"] = (
            f"{record['first_loss']:.2f} → {record['last_loss']:.2f}"
        )
    for entry in record.get("summary", []):
        name = f"{entry['config']}, {entry['variant']}: Top 1 Accuracy"
        found[name] = f"{entry['top1_mean']:.2f} ± {entry['top1_spread']:.2f}"
    return found


def _link(path: Path, docs: Path) -> str:
    return f"[{path.stem}]({path.relative_to(docs).as_posix()})"


def _printed(figure: Published) -> dict[str, str]:
    """The metrics and latencies of a figure."""
    found = {name: str(value) for name, value in figure.metrics.items()}
    found |= {f"latency, ms, {device}": str(value) for device, value in figure.latency.items()}
    return found


def results_table(docs: Path) -> str:
    """Accuracies and latencies of the paper and of our records, in Markdown.

    A record ``results/NAME.json`` is of the config ``NAME``; where the paper has figures of that
    config, both stand in one row. A dash stands where there is none.
    """
    ours = {path.stem: (path, measured(load(path))) for path in _records(docs / "results")}
    rows = {}
    for figure in published_figures():
        name = figure.name
        own, link = {}, "-"
        if figure.original:
            name = f"{name.partition('_ach')[0]}, original"
        elif name in ours:
            path, own = ours.pop(name)
            link = _link(path, docs)
        for metric, value in _printed(figure).items():
            mine = own.get(metric, "-")
            # An original of several configs gets one row.
            what = f"{figure.source}, {figure.dataset}: `{name}`, {metric}"
            rows[what] = [value, mine, link if metric in own else "-"]
    for name, (path, own) in ours.items():
        for metric, value in own.items():
            rows[f"`{name}`, {metric}"] = ["-", value, _link(path, docs)]
    lines = [[what, *row] for what, row in rows.items()]
    return markdown_table(["what", "paper", "ours", "record"], lines)


def records_table(docs: Path) -> str:
    """The records of results and benchmarks: device, commit and command, in Markdown."""
    rows = []
    for path in [*_records(docs / "results"), *_records(docs / "benchmarks")]:
        record = load(path)
        cells = record["device"], f"`{record['commit']}`", f"`{record['command']}`"
        rows.append([_link(path, docs), *cells])
    return markdown_table(["record", "device", "commit", "command"], rows)


def _records(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))
