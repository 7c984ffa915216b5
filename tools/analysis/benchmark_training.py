"""Time and profile the training step of a detector, input and network together.

    python tools/analysis/benchmark_training.py data/coco256 --out docs/results/training_step.json

SSD Hadaptive-Net-S, the same of stock parts, and mmdet's SSDLite MobileNetV2 take turns on the same
images, at 320x320, loaded in the same process. See ``mmhadaptive/analysis/training_step.py``.
"""

import argparse
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from mmhadaptive.analysis.training_step import operators_table, training_steps, training_table
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", type=Path, help="folder with train2017 and instances_train2017.json"
    )
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--batch-size", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="steps of each (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU (%(default)s)")
    args = parser.parse_args()
    if not (args.data / "instances_train2017.json").is_file():
        parser.error(f"no instances_train2017.json in {args.data}")
    return args


def main():
    args = parse_args()
    quiet_imports()
    torch.set_num_threads(args.threads)
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    rows = training_steps(str(args.data), args.batch_size, args.rounds, logger.info)
    write_record(args.out, detectors=rows, batch_size=args.batch_size, rounds=args.rounds)
    print(training_table(rows))
    print(operators_table(rows), end="")


if __name__ == "__main__":
    run_script(main)
