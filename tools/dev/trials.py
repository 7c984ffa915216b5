"""Try what a training survives, kill -9, full disks, bad data and more, and write one record.

    python tools/dev/trials.py --out docs/results/trials.json

On two cores it takes some five minutes. The work dir is left for a look at what failed.
"""

import argparse
import sys
from pathlib import Path

from mmhadaptive.analysis.trials.all import TRIALS, run_trials, trials_table
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file of the record, .json")
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=Path("work_dirs/trials"),
        help="new folder for data and runs (%(default)s)",
    )
    parser.add_argument(
        "--only", nargs="+", choices=TRIALS, metavar="NAME", help="some of: " + ", ".join(TRIALS)
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time (%(default)s)")
    args = parser.parse_args()
    trials = run_trials(
        args.work_dir, args.only, args.seed, args.jobs, lambda line: print(line, flush=True)
    )
    write_record(args.out, trials=trials)
    print(trials_table(trials), end="")
    failed = [trial["name"] for trial in trials if not trial["passed"]]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    run_script(main)
