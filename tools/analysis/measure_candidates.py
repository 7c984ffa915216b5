"""Count and time the candidates of a search space on this machine.

    python tools/analysis/measure_candidates.py configs/nas/CONFIG.py --out candidates.json

MACs and the time of inference for one image, by row and candidate, go to the record; a search takes
them into its objective with

    train_cfg.penalty.weight=0.1 train_cfg.penalty.cost=milliseconds \\
    train_cfg.penalty.table=candidates.json
"""

import argparse
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmhadaptive.engine  # noqa: F401  the scope of the configs
from mmhadaptive.analysis.input_size import input_size
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import blame_config, run_script
from mmhadaptive.nas.candidate_costs import costs_of, costs_table, supernet_of


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="a config of a search")
    parser.add_argument("--out", type=Path, required=True, help="file of the record, .json")
    parser.add_argument(
        "--size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="side of the image, or its height and width, in place of the config's",
    )
    parser.add_argument("--rounds", type=int, default=50, help="runs of each (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="on the CPU (%(default)s)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    args = parser.parse_args()
    if args.size and len(args.size) > 2:
        parser.error("--size is one or two numbers")
    return args


def main():
    args = parse_args()
    quiet_imports()
    torch.set_num_threads(args.threads)
    with blame_config():
        cfg = Config.fromfile(args.config)
        size = args.size or input_size(cfg)
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
            supernet = supernet_of(MODELS.build(cfg.model)).to(args.device)
    # One number stands for both sides.
    size = (size[0], size[-1])
    rows = costs_of(supernet, size, args.rounds)
    write_record(args.out, config=args.config, size=size, rows=rows, measured_on=args.device)
    print(costs_table(rows), end="")


if __name__ == "__main__":
    run_script(main)
