"""Times the cross-Hadamard operator and writes JSON, a Markdown table and plots.

    python tools/analysis/benchmark_ops.py layers --device cpu --threads 1 --batches 8 --sizes 224
    python tools/analysis/benchmark_ops.py memory --device cpu --threads 1
    python tools/analysis/benchmark_ops.py sweep --device cuda
    python tools/analysis/benchmark_ops.py model --device cuda

``layers`` times every ACH layer of Hadaptive-Net S, M and L against the same computation in eager
PyTorch and, with ``--compile``, in torch.compile. ``memory`` compares tensors larger than any cache
with a copy on the same device in the same run. ``sweep`` compares the strategies of the CUDA kernel
over batch, channels and resolution, as Fig. 7 of the paper does. ``model`` times the whole of
Hadaptive-Net-L at batch 1, as Table 4 does. Times are medians. Results go to docs/benchmarks/.

``memory`` on the CPU wants an allocator that keeps what is freed, as jemalloc does: an output of
glibc's is new memory with every call, and the time then that of page faults.

    export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
    export MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0
"""

from __future__ import annotations

import argparse
import functools
import importlib
import itertools
import os
from pathlib import Path

import torch

from mmhadaptive.analysis.tables import markdown_table
from mmhadaptive.analysis.timers import Timer
from mmhadaptive.io.record import write_record
from mmhadaptive.io.whole import write_file
from mmhadaptive.ops import cross_hadamard, cross_hadamard_reference
from mmhadaptive.ops.library import DEVICES
from mmhadaptive.visualization import to_png

ROOT = Path(__file__).resolve().parent.parent
# Network, stride, input channels and selected channels of its ACH layers, and how many there are.
LAYERS = (
    ("S", 16, 96, 16, 4),
    ("S", 32, 128, 32, 2),
    ("M", 16, 128, 24, 6),
    ("M", 32, 192, 36, 2),
    ("L", 16, 192, 32, 8),
    ("L", 32, 256, 36, 2),
    ("L", 64, 256, 36, 2),
)
# Channels, height and width, selected channels.
LARGE = ((256, 14, 36), (192, 14, 32))
STRATEGIES = ("direct", "parity", "tiled")
# On the CPU calls take turns among as many tensors as exceed the cache together; the GPU takes one
# large tensor.
TURNS = {"cpu": (24, 40), "cuda": (1, 1024)}


def make_arguments(batch, channels, size, selected, device, dtype, channels_last):
    generator = torch.Generator().manual_seed(0)
    products = selected * (selected - 1) // 2
    x = torch.randn(batch, channels, size, size, generator=generator).to(device, dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    rows = [torch.randperm(channels, generator=generator)[:selected] for _ in range(batch)]
    small = [
        torch.rand(*shape, generator=generator).to(device)
        for shape in ((batch, selected), (1,), (products,), (products,))
    ]
    return [x, torch.stack(rows).to(device), *small, "softsign"]


def differentiable(arguments):
    return [t.requires_grad_() for t in arguments if torch.is_tensor(t) and t.is_floating_point()]


def time_forward(timer, function, arguments):
    with torch.no_grad():
        return timer(lambda: function(*arguments))


def time_both(timer, function, arguments, dy):
    inputs = differentiable(arguments)
    return timer(lambda: torch.autograd.grad(function(*arguments), inputs, dy))


def strategies_of(device):
    return STRATEGIES if device == "cuda" else ("auto",)


def with_strategy(strategy):
    return functools.partial(cross_hadamard, strategy=strategy)


def pixels_at(stride, size):
    # The last downsampling is a 2x2 convolution of stride 2 without padding.
    return size // 32 // 2 if stride == 64 else size // stride


def layers(options, timer):
    """One row a layer, input size, batch and memory format."""
    rows = []
    for size in options.sizes:
        for batch in options.batches:
            for network, stride, channels, selected, count in LAYERS:
                if network not in options.networks:
                    continue
                for channels_last in options.channels_last:
                    extent = pixels_at(stride, size)
                    arguments = make_arguments(
                        *(batch, channels, extent, selected),
                        *(options.device, options.dtype, channels_last),
                    )
                    dy = torch.randn_like(cross_hadamard(*arguments))
                    row = {
                        "network": network,
                        "stride": stride,
                        "layers": count,
                        "channels": channels,
                        "selected": selected,
                        "extent": extent,
                        "input": size,
                        "batch": batch,
                        "channels_last": channels_last,
                        "bytes": sum(t.numel() * t.element_size() for t in (arguments[0], dy)),
                    }
                    functions = {s: with_strategy(s) for s in strategies_of(options.device)}
                    functions["eager"] = cross_hadamard_reference
                    if options.compile:
                        torch._dynamo.reset()
                        functions["compile"] = torch.compile(cross_hadamard_reference)
                    for name, function in functions.items():
                        row[f"{name}_forward"] = time_forward(timer, function, arguments)
                        row[f"{name}_both"] = time_both(timer, function, arguments, dy)
                    rows.append(row)
                    print_row(row)
    return rows


def print_row(row):
    print(
        " ".join(f"{k}={v:.2e}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()),
        flush=True,
    )


def in_turn(function, cases):
    """A function that calls ``function`` with the next case and keeps the result for a round."""
    results = [None] * len(cases)
    turn = itertools.cycle(range(len(cases)))

    def call_next():
        at = next(turn)
        results[at] = None
        results[at] = function(*cases[at])

    for _ in cases:
        call_next()
    return call_next


def memory(options, timer):
    """Bytes read and written once, by time, and that of a copy of the output."""
    turns, batch = TURNS[options.device]
    rows = []
    for channels, extent, selected in LARGE:
        for channels_last in options.channels_last:
            arguments = make_arguments(
                *(batch, channels, extent, selected),
                *(options.device, options.dtype, channels_last),
            )
            x, *others = arguments
            cases = [(x.clone(), *others) for _ in range(turns)]
            with torch.no_grad():
                gradients = [(torch.randn_like(cross_hadamard(*case)), case) for case in cases]
                copies = [(torch.empty_like(dy), dy) for dy, _ in gradients]
                output_bytes = x.element_size() * gradients[0][0].numel()
                input_bytes = x.element_size() * x.numel()
                row = {
                    "shape": list(x.shape),
                    "selected": selected,
                    "channels_last": channels_last,
                    "touched": turns * (output_bytes + input_bytes),
                    "copy": 2 * output_bytes / timer(in_turn(torch.Tensor.copy_, copies)),
                }
                del copies
                for strategy in strategies_of(options.device):
                    seconds = timer(in_turn(with_strategy(strategy), cases))
                    row[f"{strategy}_forward"] = (input_bytes + output_bytes) / seconds
                seconds = timer(in_turn(backward, gradients))
                # dy and the selected channels of x are read and dx is written.
                selected_bytes = input_bytes * selected // channels
                row["backward"] = (selected_bytes + output_bytes + input_bytes) / seconds
            rows.append(row)
            print_row(row)
    return rows


def backward(dy, arguments):
    x, index, gate, alpha, weight, _, norm = arguments
    return torch.ops.mmhadaptive.cross_hadamard_backward(
        dy, x, index, gate, alpha, weight, norm, *[True] * 5
    )


def sweep(options, timer):
    """The strategies of the forward over batch x extent and channels x extent."""
    grids = {
        "batch": [(batch, 32, 192) for batch in (1, 2, 4, 8, 16, 32, 64, 128)],
        "channels": [(32, k, max(2 * k, 32)) for k in (8, 12, 16, 20, 24, 28, 32, 36, 48, 64)],
    }
    extents = (4, 7, 8, 10, 14, 16, 20, 28, 32, 40)
    rows = []
    for grid, cases in grids.items():
        for batch, selected, channels in cases:
            for extent in extents:
                arguments = make_arguments(
                    *(batch, channels, extent, selected), options.device, options.dtype, False
                )
                row = {"grid": grid, "batch": batch, "selected": selected, "extent": extent}
                for strategy in STRATEGIES:
                    row[strategy] = time_forward(timer, with_strategy(strategy), arguments)
                rows.append(row)
                print_row(row)
    return rows


def model(options, timer):
    """Hadaptive-Net-L at batch 1 with each way to compute the products."""
    from mmhadaptive.models import HadaptiveNet

    layer = importlib.import_module("mmhadaptive.layers.adaptive_cross_hadamard")
    network = HadaptiveNet(arch="l").to(options.device).eval()
    x = torch.randn(1, 3, 224, 224, device=options.device)
    functions = {"native": cross_hadamard_reference}
    functions |= {s: with_strategy(s) for s in strategies_of(options.device)}
    rows, original = [], layer.cross_hadamard
    try:
        for name, function in functions.items():
            layer.cross_hadamard = function
            with torch.no_grad():
                row = {"products": name, "eager": Timer("cpu", 2.0)(lambda: call(network, x))}
                if options.device == "cuda":
                    row["cuda_graph"] = timer(lambda: network(x))
            rows.append(row)
            print_row(row)
    finally:
        layer.cross_hadamard = original
    return rows


def call(network, x):
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize()


def layers_table(rows):
    names = [name for name in ("auto", *STRATEGIES) if f"{name}_forward" in rows[0]]
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


def memory_table(rows):
    names = [name for name in ("auto", *STRATEGIES) if f"{name}_forward" in rows[0]]
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


def model_table(rows):
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


def plain_table(rows):
    cells = [[f"{v:.3e}" if isinstance(v, float) else v for v in row.values()] for row in rows]
    return markdown_table(list(rows[0]), cells)


def plot_layers(rows, about):
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    name = "tiled" if "tiled_forward" in rows[0] else "auto"
    labels = [
        f"{row['network']}, stride {row['stride']}, {row['extent']}², batch {row['batch']}, "
        + ("channels_last" if row["channels_last"] else "NCHW")
        for row in rows
    ]
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    slowest = 1.0
    for offset, (what, label) in enumerate((("forward", "forward"), ("both", "with backward"))):
        speedups = [row[f"eager_{what}"] / row[f"{name}_{what}"] for row in rows]
        slowest = min(slowest, 0.9 * min(speedups))
        axes.barh([y + 0.4 * offset for y in range(len(rows))], speedups, 0.38, label=label)
    axes.set_yticks([y + 0.2 for y in range(len(rows))], labels)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    # Logarithmic, so that a single slow run of eager PyTorch does not squeeze all other bars.
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(left=slowest)
    axes.grid(axis="x", alpha=0.4)
    axes.set_axisbelow(True)
    axes.set_xlabel("times as fast as eager PyTorch")
    axes.set_title(f"{about['device']}, {about['dtype']}")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def plot_sweep(rows, about):
    """(A - B) / (A + B) of the times: positive where B is the faster."""
    from matplotlib.figure import Figure

    pairs = (("direct", "parity"), ("direct", "tiled"), ("parity", "tiled"))
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    for line, grid in zip(axes, ("batch", "channels"), strict=True):
        key = "batch" if grid == "batch" else "selected"
        chosen = [row for row in rows if row["grid"] == grid]
        ys = sorted({row[key] for row in chosen})
        xs = sorted({row["extent"] for row in chosen})
        for axis, (a, b) in zip(line, pairs, strict=True):
            by_cell = {(r[key], r["extent"]): (r[a] - r[b]) / (r[a] + r[b]) for r in chosen}
            values = [[by_cell[y, x] for x in xs] for y in ys]
            image = axis.imshow(values, cmap="RdBu", vmin=-1, vmax=1, origin="lower")
            axis.set_xticks(range(len(xs)), xs)
            axis.set_yticks(range(len(ys)), ys)
            axis.set_xlabel("height and width")
            axis.set_ylabel("batch" if grid == "batch" else "selected channels")
            axis.set_title(f"({a} - {b}) / ({a} + {b})")
    figure.colorbar(image, ax=axes, shrink=0.6)
    figure.suptitle(f"{about['device']}, {about['dtype']}")
    return figure


SUITES = {
    "layers": (layers, layers_table, plot_layers),
    "memory": (memory, memory_table, None),
    "sweep": (sweep, plain_table, plot_sweep),
    "model": (model, model_table, None),
}


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="on the CPU")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 320])
    parser.add_argument("--networks", nargs="+", choices=("S", "M", "L"), default=["S", "M", "L"])
    parser.add_argument("--layouts", nargs="+", choices=("nchw", "nhwc"), default=["nchw", "nhwc"])
    parser.add_argument("--compile", action="store_true", help="time torch.compile as well")
    parser.add_argument("--seconds", type=float, default=0.2, help="for one measurement")
    parser.add_argument("--out-dir", type=Path, default=ROOT / "docs" / "benchmarks")
    parser.add_argument("--name", help="of the files; the default says suite, device and dtype")
    options = parser.parse_args(arguments)
    options.dtype = getattr(torch, options.dtype)
    options.channels_last = [layout == "nhwc" for layout in options.layouts]
    if options.device not in DEVICES:
        parser.error(f"the operator is not compiled for {options.device}")
    if options.suite == "sweep" and options.device == "cpu":
        parser.error("the strategies differ on CUDA only")
    return options


def main():
    options = parse()
    # From here on glibc keeps freed blocks of up to this size, as it does in any process that has
    # freed one before; otherwise page faults come and go by the luck of the heap.
    torch.empty(31 * 2**20, dtype=torch.int8)
    torch.set_num_threads(options.threads)
    run, to_table, plot = SUITES[options.suite]
    rows = run(options, Timer(options.device, options.seconds))
    about = dict(
        dtype=str(options.dtype).removeprefix("torch."),
        compiled=sorted(DEVICES),
        allocator=os.environ.get("LD_PRELOAD", "default"),
    )
    name = options.name or "-".join([options.suite, options.device, about["dtype"]])
    record = write_record(options.out_dir / f"{name}.json", **about, rows=rows)
    text = to_table(rows)
    facts = "".join(f"- {key}: {value}\n" for key, value in record.items() if key != "rows")
    write_file(options.out_dir / f"{name}.md", f"# {name}\n\n{facts}\n{text}")
    if plot is not None:
        write_file(options.out_dir / f"{name}.png", to_png(plot(rows, record), dpi=110))
    print(text)


if __name__ == "__main__":
    main()
