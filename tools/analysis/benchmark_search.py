"""Time and memory of a step of a search, beside two training steps of one network.

    python tools/analysis/benchmark_search.py --out docs/results/search_step.json

The network is Hadaptive-Net-S, and the candidates of the search are copies of its rows, so that
both compute the same. See ``mmhadaptive/nas/search_benchmark.py``.
"""

import argparse
from pathlib import Path

import torch
from mmengine.logging import MMLogger

import mmhadaptive.engine  # noqa: F401  the scope of the configs
from mmhadaptive.analysis.search_step import search_costs_table
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file of the record, .json")
    parser.add_argument("--candidates", type=int, nargs="+", default=[2, 4, 8], help="%(default)s")
    parser.add_argument("--size", type=int, default=224, help="side of the image (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=64, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="steps of each (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU (%(default)s)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    args = parser.parse_args()
    if min(args.candidates) < 2:
        parser.error("a choice has at least 2 candidates")
    return args


def main():
    args = parse_args()
    quiet_imports()
    from mmhadaptive.nas.search_benchmark import search_costs

    torch.set_num_threads(args.threads)
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    settings = dict(size=args.size, batch_size=args.batch_size, rounds=args.rounds)
    rows = search_costs(args.candidates, **settings, device=args.device, log=logger.info)
    write_record(args.out, search_step=rows, measured_on=args.device, **settings)
    print(search_costs_table(rows), end="")


if __name__ == "__main__":
    run_script(main)
