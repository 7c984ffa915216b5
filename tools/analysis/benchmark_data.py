"""Measure how many images a second the stock pipeline and the in-memory one deliver.

    python tools/analysis/benchmark_data.py --out docs/results/data_pipeline.json

For each size three things are timed: until a batch is ready on the device of the network
(``input``); the whole training with that input (``training``); and the training steps alone, on one
batch that is there already (``network``). See ``mmhadaptive/analysis/images_per_second.py``.
"""

import argparse
import os
from pathlib import Path

from mmengine.logging import MMLogger

from mmhadaptive.analysis.images_per_second import images_per_second, images_table
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", default="data/cifar100", help="CIFAR-100 (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[224, 32], help="pixels (%(default)s)"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="images (%(default)s)")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(8, len(os.sched_getaffinity(0))),
        help="processes of the stock loader: 8 or as many as there are cores (%(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of all turns (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="of one turn (%(default)s)")
    return parser.parse_args()


def main():
    args = parse_args()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    rows = []
    for size in args.sizes:
        logger.info(f"{size} x {size}")
        rates = images_per_second(
            size, args.data_root, args.batch_size, args.workers, args.rounds, args.seconds
        )
        rows.append(dict(size=size, **rates))
    write_record(
        args.out,
        images_per_second=rows,
        batch_size=args.batch_size,
        stock_workers=args.workers,
        rounds=args.rounds,
        seconds=args.seconds,
    )
    print(images_table(rows), end="")


if __name__ == "__main__":
    run_script(main)
