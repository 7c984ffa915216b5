"""Export a checkpoint to ONNX in 8 bits (static quantisation, QDQ), and measure it.

    python tools/quantize.py CONFIG CHECKPOINT OUT.onnx

calibrates on pictures of the training, and prints accuracy, by the config's own test, size and
latency beside those of the float32 file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
from mmengine.registry import DefaultScope
from rich.progress import track

from mmhadaptive.analysis.latency import onnxruntime_call, onnxruntime_options, time_in_turns
from mmhadaptive.deploy import describe, export_onnx, quantize_onnx
from mmhadaptive.deploy.predictions import predicting_by
from mmhadaptive.deploy.quantize import PERCENTILE
from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import build_runner, config_arguments, read_config
from mmhadaptive.engine.training_pictures import training_pictures
from mmhadaptive.engine.unwrap import unwrap
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import UserError, run_script


def parse_args() -> argparse.Namespace:
    parser = config_arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoint", help="a checkpoint that training wrote")
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument(
        "--outputs",
        choices=["raw", "nms"],
        default="nms",
        help="of a detector: the head's maps, or detections (%(default)s)",
    )
    parser.add_argument(
        "--pictures", type=int, default=200, help="how many to calibrate with (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of their draw (%(default)s)")
    parser.add_argument(
        "--percentile",
        type=float,
        default=PERCENTILE,
        help="what the range of a tensor holds of its values, in per cent (%(default)s)",
    )
    parser.add_argument(
        "--full-range",
        action="store_true",
        help="weights of 8 instead of 7 bits, which x86 CPUs without VNNI may sum wrong",
    )
    parser.add_argument("--no-test", action="store_true", help="do not measure the accuracy")
    parser.add_argument("--threads", type=int, default=1, help="of the latency (%(default)s)")
    parser.add_argument(
        "--runs", type=int, default=500, help="timed ones of the latency (%(default)s)"
    )
    parser.add_argument("--record", metavar="FILE.json", help="write what was measured")
    args = parser.parse_args()
    if args.out.suffix != ".onnx":
        parser.error(f"OUT.onnx must end in .onnx, got {args.out}")
    for name in ("pictures", "threads", "runs"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    if not 0 < args.percentile <= 100:
        parser.error(f"--percentile must be over 0 and at most 100, got {args.percentile}")
    return args


def main() -> None:
    args = parse_args()
    cfg = read_config(args)
    check_data_files(cfg, ("train",) if args.no_test else ("train", "test"))
    cfg.launcher = "none"
    cfg.setdefault("work_dir", str(Path("work_dirs") / Path(args.config).stem))
    cfg.load_from = args.checkpoint
    # A checkpoint has the averaged weights as its own; the hook would swap in others.
    cfg.custom_hooks = [hook for hook in cfg.get("custom_hooks", []) if hook["type"] != "EMAHook"]
    runner = build_runner(cfg)
    # The figures of every class would fill the terminal.
    runner.logger.setLevel("WARNING")
    runner.load_or_resume()
    model = unwrap(runner.model).eval()
    with TemporaryDirectory() as folder, DefaultScope.overwrite_default_scope(cfg.default_scope):
        files = dict(float32=Path(folder, "float32.onnx"), int8=args.out)
        loader = training_pictures(cfg, args.pictures, args.seed)
        pictures = [
            picture[None].cpu().numpy()
            for batch in track(loader, "Pictures")
            for picture in model.data_preprocessor(batch, False)["inputs"]
        ]
        shapes = {picture.shape for picture in pictures}
        if len(shapes) > 1:
            raise UserError(f"the test pipeline gives pictures of several sizes: {sorted(shapes)}")
        size = pictures[0].shape[-2:]
        about = describe(cfg, model, size)
        outputs = args.outputs if about["task"] == "detector" else "raw"
        export_onnx(model, files["float32"], size, outputs=outputs, metadata=about)
        calibrated = track(pictures, "Calibration")
        quantize_onnx(
            files["float32"], files["int8"], calibrated, not args.full_range, args.percentile
        )
        sizes = {form: path.stat().st_size for form, path in files.items()}
        sessions = {
            form: onnxruntime.InferenceSession(path, onnxruntime_options(args.threads))
            for form, path in files.items()
        }
    metrics = {}
    for form, session in sessions.items():
        if not args.no_test:
            with predicting_by(session, model, size):
                found = runner.test()
            metrics[form] = {k: v for k, v in found.items() if isinstance(v, (int, float))}
    calls = {(form, ""): onnxruntime_call(s, pictures[0]) for form, s in sessions.items()}
    times = {form: value for (form, _), value in time_in_turns(calls, args.runs, 10).items()}
    for name, value in metrics.get("float32", {}).items():
        print(f"{name}: {value:.4g} -> {metrics['int8'][name]:.4g}")
    print(f"{args.out}: {sizes['int8'] / 1e6:.2f} MB, float32 {sizes['float32'] / 1e6:.2f} MB")
    ratio = times["int8"]["median"] / times["float32"]["median"]
    print(
        f"latency, median of {args.runs}, {args.threads} threads: {times['int8']['median']:.2f} ms,"
        f" float32 {times['float32']['median']:.2f} ms: {ratio:.2f} times as long"
    )
    if args.record:
        write_record(
            args.record,
            pictures=len(pictures),
            threads=args.threads,
            onnxruntime=onnxruntime.__version__,
            before=metrics.get("float32", {}),
            after=metrics.get("int8", {}),
            bytes=sizes,
            latency=times,
        )


if __name__ == "__main__":
    run_script(main)
