"""Time the networks of Table 7, and the detectors of Table 6 from a picture's file to its boxes.

    python tools/analysis/benchmark_latency.py --out docs/results/latency.json
    python tools/analysis/benchmark_latency.py --out /tmp/latency.json --runs 100 --detectors \\
        --networks hadaptive_s mobilenetv4_conv_small --forms onnxruntime fused

One image at a time, at the size at which the config tests. All networks in all forms take turns, so
that drift hits all alike: in each round one run of each that is not timed, and ten that are. The
record has medians and quartiles, parameters, MACs, versions and the CPU; ``--picture`` draws the
paper's accuracies over the latencies. Weights are random, see
``mmhadaptive/analysis/latency_networks.py``; torch.compile takes most of the time that comes before
the first round.
"""

import argparse
import copy
import functools
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger

import mmhadaptive.engine  # noqa: F401  the scope of the configs
from mmhadaptive.analysis import latency_tables as tables
from mmhadaptive.analysis.complexity import network_complexity
from mmhadaptive.analysis.latency import (
    FORMS,
    available_forms,
    cores,
    detector_call,
    difference,
    onnxruntime_call,
    onnxruntime_options,
    onnxruntime_providers,
    picture_pipeline,
    pytorch_call,
    time_in_turns,
)
from mmhadaptive.analysis.latency_networks import (
    build_network,
    classifiers,
    detectors,
    let_through,
    paper_figures,
)
from mmhadaptive.deploy import (
    OnnxRunner,
    describe,
    export_onnx,
    fuse,
    get_library_path,
    load_session,
)
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import cpu_name, write_record
from mmhadaptive.io.user_errors import UserError, run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.layers import AdaptiveCrossHadamard
from mmhadaptive.visualization import draw_accuracy_latency, to_png

# Scores of a detector that pass its threshold, of all classes together.
CANDIDATES = 500


def parse_args(known):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file of the record, .json")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="of accuracies, latencies")
    for what, names in (("networks", list(classifiers())), ("detectors", list(detectors()))):
        parser.add_argument(
            f"--{what}",
            nargs="*",
            default=names,
            choices=names,
            metavar="NAME",
            help=f"default all: {', '.join(names)}; nothing for none",
        )
    parser.add_argument(
        "--forms",
        nargs="+",
        default=known,
        choices=known,
        metavar="FORM",
        help=f"in which they run; default all that this machine has: {', '.join(known)}",
    )
    parser.add_argument("--runs", type=int, default=500, help="of each (%(default)s)")
    parser.add_argument("--turn", type=int, default=10, help="of them in a row (%(default)s)")
    parser.add_argument(
        "--models",
        type=Path,
        metavar="FOLDER",
        help="where the ONNX files stay; those that are there are timed, not exported again",
    )
    parser.add_argument(
        "--image", type=Path, help="that the detectors see (default: one of scikit-learn's photos)"
    )
    args = parser.parse_args()
    if min(args.runs, args.turn) < 1:
        parser.error("--runs and --turn are numbers from 1")
    if args.image and not args.image.is_file():
        parser.error(f"no picture at {args.image}")
    return args


def known_forms():
    """Those of this machine; without the library for ONNX Runtime, not its fused one."""
    forms = available_forms()
    try:
        get_library_path()
    except UserError:
        forms.remove("onnxruntime-fused")
    return forms


def is_ours(model):
    return any(isinstance(module, AdaptiveCrossHadamard) for module in model.modules())


def exported(model, name, form, folder, size, **options):
    """The ONNX file of a network, written if it is not there."""
    path = folder / f"{name}{'.fused' * form.fused}.onnx"
    if not path.exists():
        form = "fused" if form.fused else "standard"
        export_onnx(model, path, size, form=form, **options)
    return path


def network_calls(model, size, name, args, folder, log):
    """A call for each form of a classifier, and how far its output is from eager PyTorch's."""
    image = np.random.default_rng(0).standard_normal((1, 3, *size), dtype=np.float32)
    expected = pytorch_call(model, image)()
    calls, differences = {}, {}
    for key in args.forms:
        form = FORMS[key]
        if form.fused and not is_ours(model):
            continue
        log(f"{name}: {form.title}")
        if form.runtime == "onnxruntime":
            path = exported(model, name, form, folder, size)
            options = onnxruntime_options(form.threads)
            session = load_session(path, onnxruntime_providers(form.device), options)
            call = onnxruntime_call(session, image)
        else:
            # On a GPU it is another network.
            own = model if form.device == "cpu" else copy.deepcopy(model)
            own = fuse(own) if form.fused else own
            call = pytorch_call(own, image, form.runtime == "compiled", form.device)
        differences[key] = difference(call(), expected)
        calls[key] = call
    return calls, differences


def measure_networks(args, folder, log):
    rows, calls = [], {}
    for name in args.networks:
        model, _, size = build_network(classifiers()[name])
        counts = network_complexity(model, size)
        own, differences = network_calls(model, size, name, args, folder, log)
        calls |= {(name, form): call for form, call in own.items()}
        rows.append(
            dict(
                network=name,
                input=[3, *size],
                parameters=counts["parameters"],
                macs=counts["macs"],
                paper=paper_figures(name),
                difference=differences,
            )
        )
    return with_times(rows, calls, args, log)


def with_times(rows, calls, args, log):
    # By form, so that those next to each other are the ones that are compared.
    calls = {key: calls[key] for form in args.forms for key in calls if key[1] == form}
    times = time_in_turns(calls, args.runs, args.turn, log)
    for row in rows:
        row["milliseconds"] = {form: times[n, form] for n, form in calls if n == row["network"]}
    return rows


def detection_calls(name, args, folder, log):
    """A call for each form of a detector, from a file to boxes, and the detector with its size."""
    model, cfg, size = build_network(detectors()[name])
    read = picture_pipeline(cfg, args.image)
    let_through(model, model.data_preprocessor(read())["inputs"], CANDIDATES)
    calls = {}
    for key in args.forms:
        form = FORMS[key]
        # torch.compile leaves a detector in pieces.
        if form.runtime == "compiled" or (form.fused and not is_ours(model)):
            continue
        log(f"{name}: {form.title}")
        if form.runtime == "onnxruntime":
            about = describe(cfg, model, size)
            path = exported(model, name, form, folder, size, outputs="nms", metadata=about)
            options = onnxruntime_options(form.threads)
            runner = OnnxRunner(path, onnxruntime_providers(form.device), options)
            calls[key] = functools.partial(runner, args.image)
        else:
            own = model if form.device == "cpu" else copy.deepcopy(model).to(form.device)
            calls[key] = detector_call(fuse(own) if form.fused else own, read)
    return calls, model, size


def measure_detectors(args, folder, log):
    rows, calls = [], {}
    for name in args.detectors:
        own, model, size = detection_calls(name, args, folder, log)
        calls |= {(name, form): call for form, call in own.items()}
        counts = network_complexity(model, size)
        rows.append(
            dict(
                network=name,
                input=[3, *size],
                parameters=counts["parameters"],
                macs=counts["macs"],
            )
        )
    return with_times(rows, calls, args, log)


def main():
    args = parse_args(known_forms())
    quiet_imports()
    torch.set_num_threads(1)
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    if args.image is None:
        import sklearn.datasets

        args.image = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
    with nullcontext(args.models) if args.models else tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        networks = measure_networks(args, folder, logger.info)
        found = measure_detectors(args, folder, logger.info)
    record = write_record(
        args.out,
        cpu=cpu_name(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        cores=cores(),
        runs=args.runs,
        turn=args.turn,
        candidates=CANDIDATES,
        networks=networks,
        detectors=found,
    )
    if args.picture:
        form = next(iter(networks[0]["milliseconds"]))
        title = f"{FORMS[form].title}, {record['cpu']}"
        write_file(args.picture, to_png(draw_accuracy_latency(networks, form, title), dpi=110))
    for table in (tables.targets_table, tables.ratios_table, tables.latency_table):
        print(table(networks))
    print(tables.latency_table(found), end="")


if __name__ == "__main__":
    run_script(main)
