"""Times the operators and writes JSON, a Markdown table and plots.

    python tools/analysis/benchmark_ops.py layers --device cpu --threads 1 --batches 8 --sizes 224
    python tools/analysis/benchmark_ops.py memory --device cpu --threads 1
    python tools/analysis/benchmark_ops.py sweep --device cuda
    python tools/analysis/benchmark_ops.py model --device cuda
    python tools/analysis/benchmark_ops.py depthwise --threads 2 --layouts nhwc
    python tools/analysis/benchmark_ops.py fused --batches 1 --sizes 224

``layers`` times every ACH layer of Hadaptive-Net S, M and L against the same computation in eager
PyTorch and, with ``--compile``, in torch.compile. ``memory`` compares tensors larger than any cache
with a copy on the same device in the same run. ``sweep`` compares the strategies of the CUDA kernel
over batch, channels and resolution; its first column is Fig. 7 of the paper, ``direct`` and
``parity``. ``model`` times the whole of Hadaptive-Net-L at batch 1 with each, as Table 4 does in
ONNX Runtime. ``depthwise`` times the layer with our depthwise convolution beside nn.Conv2d, and a
classifier's training step with either. ``fused`` times the cross-Hadamard bottlenecks and the
networks by mmhadaptive.deploy.fuse beside PyTorch with folded BatchNorms and, where onnxruntime is
installed, the networks exported to standard operators. Times are medians. Results go to
docs/benchmarks/.

``memory`` on the CPU wants an allocator that keeps what is freed, as jemalloc does: an output of
glibc's is new memory with every call, and the time then that of page faults.

    export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
    export MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0
"""

from __future__ import annotations

import argparse
import copy
import functools
import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import torch

from mmhadaptive.analysis import operator_benchmarks as suites
from mmhadaptive.analysis import operator_tables as tables
from mmhadaptive.analysis.depthwise_benchmarks import depthwise
from mmhadaptive.analysis.fused_benchmarks import fused
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.ops.library import DEVICES
from mmhadaptive.visualization import draw_speedups, draw_strategies, to_png



def fold(model: torch.nn.Module) -> torch.nn.Module:
    from mmhadaptive.deploy.folding import fold_norms

    return fold_norms(copy.deepcopy(model).eval())


def runtime(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """The exported model in ONNX Runtime, on as many threads as PyTorch has."""
    import onnxruntime

    from mmhadaptive.deploy import export_onnx

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False):
        path = Path(folder) / "model.onnx"
        export_onnx(model, path, tuple(x.shape[2:]), batch=len(x))
        session = onnxruntime.InferenceSession(path.read_bytes(), settings)
    inputs = {session.get_inputs()[0].name: x.numpy()}
    return functools.partial(session.run, None, inputs)


def fused_networks(options: suites.Options):
    from mmhadaptive.deploy import fuse

    exported = importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnxscript")
    return fused(options, fold, fuse, runtime if exported else None)


ROOT = Path(__file__).resolve().parents[2]
SUITES = {
    "layers": (suites.layers, tables.layers_table, draw_speedups),
    "memory": (suites.memory, tables.memory_table, None),
    "sweep": (suites.sweep, tables.sweep_table, draw_strategies),
    "model": (suites.model, tables.model_table, None),
    "depthwise": (depthwise, tables.depthwise_table, None),
    "fused": (fused_networks, tables.fused_table, None),
}


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", choices=SUITES)
    default = suites.Options()
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default.device)
    parser.add_argument("--threads", type=int, default=1, help="on the CPU")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=default.batches)
    parser.add_argument("--sizes", type=int, nargs="+", default=default.sizes)
    networks = default.networks
    parser.add_argument("--networks", nargs="+", choices=networks, default=networks)
    parser.add_argument("--layouts", nargs="+", choices=("nchw", "nhwc"), default=["nchw", "nhwc"])
    parser.add_argument("--compile", action="store_true", help="time torch.compile as well")
    parser.add_argument(
        "--seconds", type=float, default=default.seconds, help="for one measurement"
    )
    parser.add_argument("--out-dir", type=Path, default=ROOT / "docs" / "benchmarks")
    parser.add_argument("--name", help="of the files; the default says suite, device and dtype")
    options = parser.parse_args(arguments)
    options.dtype = getattr(torch, options.dtype)
    options.channels_last = [layout == "nhwc" for layout in options.layouts]
    if options.device not in DEVICES:
        parser.error(f"the operator is not compiled for {options.device}")
    if options.suite == "sweep" and options.device == "cpu":
        parser.error("the strategies differ on CUDA only")
    if options.suite == "depthwise" and options.device != "cpu":
        parser.error("the depthwise convolution is compiled for the CPU only")
    if options.suite == "fused" and (options.device, options.dtype) != ("cpu", torch.float32):
        parser.error("fused networks are timed on the CPU in float32")
    return options


def main():
    options = parse()
    # From here on glibc keeps freed blocks of up to this size, as it does in any process that has
    # freed one before; otherwise page faults come and go by the luck of the heap.
    torch.empty(31 * 2**20, dtype=torch.int8)
    torch.set_num_threads(options.threads)
    run, to_table, draw = SUITES[options.suite]
    rows = []
    chosen = {field.name: getattr(options, field.name) for field in fields(suites.Options)}
    for row in run(suites.Options(**chosen)):
        rows.append(row)
        cells = (f"{k}={v:.2e}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items())
        print(*cells, flush=True)
    about = dict(
        dtype=str(options.dtype).removeprefix("torch."),
        compiled=sorted(DEVICES),
        allocator=os.environ.get("LD_PRELOAD", "default"),
    )
    name = options.name or "-".join([options.suite, options.device, about["dtype"]])
    record = write_record(options.out_dir / f"{name}.json", **about, rows=rows)
    write_file(options.out_dir / f"{name}.md", tables.page(name, record, to_table(rows)))
    if draw is not None:
        figure = draw(rows, f"{record['device']}, {about['dtype']}")
        write_file(options.out_dir / f"{name}.png", to_png(figure, dpi=110))
    print(to_table(rows))


if __name__ == "__main__":
    run_script(main)
