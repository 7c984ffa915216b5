"""Tables of the rows of :mod:`.operator_benchmarks`, and the page that a record gets."""

from __future__ import annotations

from mmhadaptive.ops.arguments import STRATEGIES

from .tables import markdown_table


def timed(rows: list[dict]) -> list[str]:
    return [name for name in STRATEGIES if f"{name}_forward" in rows[0]]


def layers_table(rows: list[dict]) -> str:
    """Times, bandwidth, and how many times as fast as the baselines, in Markdown."""
    names = timed(rows)
    baselines = [name for name in ("eager", "compile") if f"{name}_forward" in rows[0]]
    headers = ["network", "stride", "C", "k", "map", "input", "batch", "layout"]
    for name in names:
        headers += [f"{name} forward", "GB/s"]
        headers += [f"{what} x {base}" for base in baselines for what in ("forward", "fwd+bwd")]
    body = []
    for row in rows:
        line = [row[key] for key in ("network", "stride", "channels", "selected")]
        line += [f"{row['extent']}²", row["input"], row["batch"]]
        line.append("channels_last" if row["channels_last"] else "NCHW")
        for name in names:
            line.append(f"{row[f'{name}_forward'] * 1e6:.0f} µs")
            line.append(f"{row['bytes'] / row[f'{name}_forward'] / 1e9:.1f}")
            line += [
                f"{row[f'{base}_{what}'] / row[f'{name}_{what}']:.1f}"
                for base in baselines
                for what in ("forward", "both")
            ]
        body.append(line)
    return markdown_table(headers, body)


def memory_table(rows: list[dict]) -> str:
    """Bandwidth as a fraction of a copy's, in Markdown."""
    names = timed(rows)
    headers = ["x", "k", "layout", "touched", "copy GB/s"]
    headers += [f"{name} forward, of copy" for name in names] + ["backward, of copy"]
    body = [
        [
            "x".join(map(str, row["shape"])),
            row["selected"],
            "channels_last" if row["channels_last"] else "NCHW",
            f"{row['touched'] / 2**20:.0f} MiB",
            f"{row['copy'] / 1e9:.1f}",
            *(f"{row[f'{name}_forward'] / row['copy']:.0%}" for name in names),
            f"{row['backward'] / row['copy']:.0%}",
        ]
        for row in rows
    ]
    return markdown_table(headers, body)


def model_table(rows: list[dict]) -> str:
    """Times of the network, and how many times as fast as native, in Markdown."""
    native = rows[0]
    times = [key for key in ("eager", "cuda_graph") if key in native]
    headers = ["products"] + [text for key in times for text in (key, "x native")]
    body = [
        [row["products"]]
        + [
            t
            for key in times
            for t in (f"{row[key] * 1e3:.2f} ms", f"{native[key] / row[key]:.2f}")
        ]
        for row in rows
    ]
    return markdown_table(headers, body)


def sweep_table(rows: list[dict]) -> str:
    """Every row as it is, in Markdown."""
    cells = [[f"{v:.3e}" if isinstance(v, float) else v for v in row.values()] for row in rows]
    return markdown_table(list(rows[0]), cells)


def depthwise_table(rows: list[dict]) -> str:
    """Times of nn.Conv2d and of DepthwiseConv2d, in Markdown."""
    headers = ["case", "layout", "", "nn.Conv2d, ms", "DepthwiseConv2d, ms", "times as fast"]
    body = [
        [
            row["case"],
            "channels_last" if row["channels_last"] else "NCHW",
            row["what"],
            f"{row['conv2d'] * 1e3:.3g}",
            f"{row['own'] * 1e3:.3g}",
            f"{row['conv2d'] / row['own']:.2f}",
        ]
        for row in rows
    ]
    return markdown_table(headers, body)


def fused_table(rows: list[dict]) -> str:
    """Times of PyTorch with folded BatchNorms, fused and of ONNX Runtime, in Markdown."""
    headers = ["network", "input", "batch", "", "eager, ms", "ONNX Runtime, ms", "fused, ms"]
    headers += ["x eager", "x ONNX Runtime"]
    body = []
    for row in rows:
        line = [row["network"], row["input"], row["batch"], row["what"]]
        line += [f"{row[key] * 1e3:.3g}" if key in row else "" for key in ("eager", "runtime")]
        line.append(f"{row['fused'] * 1e3:.3g}")
        line += [
            f"{row[key] / row['fused']:.2f}" if key in row else "" for key in ("eager", "runtime")
        ]
        body.append(line)
    return markdown_table(headers, body)


def page(name: str, record: dict, table: str) -> str:
    """The table under the facts of the record, in Markdown."""
    facts = "".join(f"- {key}: {value}\n" for key, value in record.items() if key != "rows")
    return f"# {name}\n\n{facts}\n{table}"
