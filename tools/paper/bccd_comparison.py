"""Train detectors on BCCD with several seeds, test, count and time them, and write one record.

    python tools/paper/bccd_comparison.py --out docs/results/bccd_comparison.json

A picture of the curves comes beside it, as .png.

Called again it continues: what is trained and tested stays. ``--cfg-options`` are those of
tools/train.py, for all runs; with these a dry run takes some minutes:

    train_cfg.max_epochs=1 train_dataloader.dataset.indices=16 test_dataloader.dataset.indices=8
"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

import mmhadaptive.engine  # noqa: F401  the scope of the configs
from mmhadaptive.analysis.bccd_comparison import (
    comparison_table,
    curves_by_detector,
    measure_detectors,
    train_detectors,
)
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_compared_curves, to_png


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file of the record, .json")
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=Path("work_dirs/bccd_comparison"),
        help="folder for the runs",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the runs")
    parser.add_argument("--rounds", type=int, default=100, help="timings of each network")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for all runs"
    )
    args = parser.parse_args()
    if args.out.suffix != ".json":
        parser.error(f"--out must end in .json, got {args.out}")
    quiet_imports()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    runs = train_detectors(args.work_dir, args.seeds, args.cfg_options, logger.info)
    logger.info("counting and timing")
    record = dict(runs=runs, detectors=measure_detectors(args.rounds))
    write_record(args.out, options=args.cfg_options, **record)
    picture = draw_compared_curves(curves_by_detector(record), "AP on the validation set, %", 100)
    write_file(args.out.with_suffix(".png"), to_png(picture, dpi=150))
    print(comparison_table(record), end="")


if __name__ == "__main__":
    run_script(main)
