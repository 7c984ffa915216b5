"""Time and profile a training step, input and network together.

    python tools/analysis/benchmark_training.py detection data/coco256 \\
        --out docs/results/training_step.json
    python tools/analysis/benchmark_training.py classification data/cifar100 --batch-size 64 \\
        --out docs/results/training_step_cifar100.json

``detection``: SSD Hadaptive-Net-S, the same of stock parts, and mmdet's SSDLite MobileNetV2, at
320x320. ``classification``: Hadaptive-Net-S at 64x64, and the same of stock parts. They take turns
on the same images, loaded in the same process. See ``mmhadaptive/analysis/training_step.py``.
"""

import argparse
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from mmhadaptive.analysis.training_step import (
    TITLES,
    operators_table,
    training_steps,
    training_table,
)
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TITLES, help="what is trained")
    parser.add_argument(
        "data",
        type=Path,
        help="folder with train2017 and instances_train2017.json, or with CIFAR-100",
    )
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--batch-size", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="steps of each (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU (%(default)s)")
    args = parser.parse_args()
    if args.task == "detection" and not (args.data / "instances_train2017.json").is_file():
        parser.error(f"no instances_train2017.json in {args.data}")
    return args


def main():
    args = parse_args()
    quiet_imports()
    torch.set_num_threads(args.threads)
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    found = dict(
        task=args.task,
        rows=training_steps(args.task, str(args.data), args.batch_size, args.rounds, logger.info),
    )
    write_record(args.out, **found, batch_size=args.batch_size, rounds=args.rounds)
    print(training_table(found))
    print(operators_table(found), end="")


if __name__ == "__main__":
    run_script(main)
