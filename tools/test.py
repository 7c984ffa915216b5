"""Evaluate a checkpoint of a detector or a classifier."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults

from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import (
    augment_test,
    build_runner,
    draw_test,
    leave_process_group,
    load_config,
    run_arguments,
)
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_confusion_matrix, to_png


def parse_args():
    parser = run_arguments(__doc__)
    parser.add_argument("checkpoint", help="a checkpoint that training wrote")
    parser.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation by the config's tta_model and tta_pipeline",
    )
    parser.add_argument("--out", metavar="FILE.pkl", help="write all predictions as a pickle")
    parser.add_argument(
        "--record",
        metavar="FILE.json",
        help="write the metrics with the command, commit, device and versions",
    )
    parser.add_argument(
        "--show-dir",
        help="folder for pictures with the predictions drawn and for the confusion matrix",
    )
    args = parser.parse_args()
    if args.out and not args.out.endswith((".pkl", ".pickle")):
        parser.error(f"--out must end in .pkl or .pickle, got {args.out}")
    return args


def main():
    args = parse_args()
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    if args.tta:
        augment_test(cfg)
    if args.show_dir:
        draw_test(cfg, args.show_dir)
    check_data_files(cfg, ("test",))
    runner = build_runner(cfg)
    if args.out:
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    metrics = runner.test()
    if is_main_process():
        if args.record:
            write_record(args.record, metrics=metrics)
        if args.show_dir and "confusion_matrix/result" in metrics:
            classes = runner.test_dataloader.dataset.metainfo.get("classes")
            figure = draw_confusion_matrix(metrics["confusion_matrix/result"], classes)
            path = Path(args.show_dir) / "confusion_matrix.png"
            write_file(path, to_png(figure, dpi=100, bbox_inches="tight"))
    del runner
    leave_process_group()


if __name__ == "__main__":
    run_script(main)
