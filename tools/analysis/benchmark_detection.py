"""Time the crop of a detector's pictures and the losses of its head, of mmdet and of mmhadaptive.

    python tools/analysis/benchmark_detection.py --out docs/results/detection_step.json

Both take turns; times are medians. See ``mmhadaptive/analysis/detection_step.py``.
"""

import argparse
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from mmhadaptive.analysis.detection_step import PARTS, crop_times, loss_times, step_table
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--batch-size", type=int, default=16, help="of the losses (%(default)s)")
    parser.add_argument("--size", type=int, default=320, help="of them, in pixels (%(default)s)")
    parser.add_argument("--pictures", type=int, default=100, help="to crop (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="of all turns (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU (%(default)s)")
    return parser.parse_args()


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    calls = dict(
        crop=lambda: crop_times(args.pictures, args.rounds),
        loss=lambda: loss_times(args.batch_size, args.size, args.rounds),
    )
    rows = []
    for part, measure in calls.items():
        logger.info(PARTS[part])
        rows.append(dict(part=part, **measure()))
    write_record(
        args.out,
        seconds=rows,
        batch_size=args.batch_size,
        size=args.size,
        pictures=args.pictures,
        rounds=args.rounds,
    )
    print(step_table(rows), end="")


if __name__ == "__main__":
    run_script(main)
