"""What the records of ``tools/analysis/benchmark_ops.py`` are of, and their slowest cases."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import load

from .tables import markdown_table


def benchmarks_table(folder: Path) -> str:
    """Device, type and cases of every record, in Markdown; a dash where there is no choice."""
    lines = []
    for path in sorted(folder.glob("*.json")):
        record = load(path)
        cases = [
            ", ".join(dict.fromkeys(str(row[key]) for row in record["rows"] if key in row)) or "-"
            for key in ("network", "input", "batch")
        ]
        link = f"[{path.stem}]({path.stem}.md)"
        lines.append([link, record["device"], record["dtype"], *cases])
    headers = ["result", "device", "type", "networks", "input, pixels", "batch"]
    return markdown_table(headers, lines)


def speed_table(folder: Path) -> str:
    """How many times as fast as eager the slowest layer is at batch 8, by record, in Markdown."""
    lines = []
    for path in sorted(folder.glob("layers-*.json")):
        rows = [row for row in load(path)["rows"] if row["batch"] == 8]
        ratios = [
            f"{min(row[f'eager_{kind}'] / row[f'auto_{kind}'] for row in rows):.2f}"
            for kind in ("forward", "both")
        ]
        lines.append([f"[{path.stem}]({path.stem}.md)", *ratios])
    return markdown_table(["slowest layer of", "forward", "forward and backward"], lines)


def bandwidth_table(folder: Path) -> str:
    """Beyond the cache, the bandwidth of the operator in per cent of a copy's, in Markdown."""
    lines = []
    for path in sorted(folder.glob("memory-*.json")):
        rows = load(path)["rows"]
        copies = [row["copy"] / 1e9 for row in rows]
        cells = [f"{min(copies):.0f} to {max(copies):.0f}"]
        for kind in ("auto_forward", "backward"):
            parts = [100 * row[kind] / row["copy"] for row in rows]
            cells.append(f"{min(parts):.0f} to {max(parts):.0f}")
        lines.append([f"[{path.stem}]({path.stem}.md)", *cells])
    return markdown_table(["beyond the cache", "copy, GB/s", "forward, %", "backward, %"], lines)
