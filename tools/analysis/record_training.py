"""Write the curves of a training as CSV, PNG and a record, from what it left in its work dir.

    python tools/analysis/record_training.py work_dirs/hadaptive_s_cifar100 --out RECORD.json

The pieces of a resumed run are joined; of an iteration that two pieces logged the later counts. The
record names command, commit, device and versions of every piece, as ``tools/train.py`` left them.
``--weights`` also writes those of the best epoch, in float16, as one file that tools/test.py and
mmpretrain's inferencer read. ``--same-as`` compares the last checkpoint, tensor by tensor, with
that of another run, such as an uninterrupted one.
"""

import argparse
import csv
import io
from pathlib import Path

from mmhadaptive.analysis.training import best_checkpoint, ended_alike, read_curves, summary
from mmhadaptive.io.checkpoint import load_checkpoint_file, save_checkpoint_file
from mmhadaptive.io.publish import publishable
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_training, to_png


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work_dir", type=Path)
    parser.add_argument(
        "--out", required=True, metavar="FILE.json", help="record; a .csv and a .png beside"
    )
    parser.add_argument("--same-as", type=Path, help="work dir of another run of the same config")
    parser.add_argument("--weights", action="store_true", help="a .pth beside")
    parser.add_argument(
        "--metric", default="accuracy/top1", help="of the validations (%(default)s)"
    )
    args = parser.parse_args()
    if not args.out.endswith(".json"):
        parser.error(f"--out must end in .json, got {args.out}")
    return args


def main():
    args = parse_args()
    name = args.out.removesuffix(".json")
    curves, pieces = read_curves(args.work_dir, args.metric)
    results = summary(curves, args.metric)
    if args.same_as:
        results["same_as_other_run"] = ended_alike(args.work_dir, args.same_as)
    if args.weights:
        best = load_checkpoint_file(best_checkpoint(args.work_dir), "cpu")
        save_checkpoint_file(publishable(best, half=True), f"{name}.pth")
    rows = [("epoch", "loss", args.metric.rpartition("/")[2])]
    for epoch, (loss, value) in curves.items():
        rows.append((epoch, f"{loss:.4f}", "" if value is None else f"{value:.4g}"))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_file(f"{name}.csv", text.getvalue())
    write_file(f"{name}.png", to_png(draw_training(curves, args.metric), dpi=150))
    write_record(args.out, **results, pieces=pieces)


if __name__ == "__main__":
    run_script(main)
