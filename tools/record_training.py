"""Write the curves of a training as CSV, PNG and a record, from what it left in its work dir.

    python tools/record_training.py work_dirs/hadaptive_s_cifar100_in_memory --out docs/results/NAME

The pieces of a resumed run are joined; of an iteration that two pieces logged the later counts. The
record names command, commit, device and versions of every piece, as ``tools/train.py`` left them.
``--weights`` also writes those of the best epoch, in float16, as one file that tools/test.py and
mmpretrain's inferencer read. ``--same-as`` compares the last checkpoint, tensor by tensor, with
that of another run, such as an uninterrupted one.
"""

import argparse
import csv
import io
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from mmengine.fileio import put, put_text
from mmengine.runner import save_checkpoint

from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.io.publish import publishable
from mmhadaptive.io.record import write_record


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--out", required=True, help="result files, without a suffix")
    parser.add_argument("--same-as", type=Path, help="work dir of another run of the same config")
    parser.add_argument("--weights", action="store_true", help="write OUT.pth")
    return parser.parse_args()


def read_curves(work_dir):
    """{epoch: (mean logged loss, top-1 in per cent or None)} and the records of the pieces."""
    pieces = sorted(path.parent for path in work_dir.glob("*/run.json"))
    if not pieces:
        raise FileNotFoundError(f"{work_dir} has no */run.json, which tools/train.py writes")
    steps, top1 = {}, {}
    for piece in pieces:
        scalars = piece / "vis_data" / "scalars.json"
        for line in scalars.read_text().splitlines() if scalars.exists() else ():
            entry = json.loads(line)
            if "loss" in entry:
                steps[entry["step"]] = (entry["epoch"], entry["loss"])
            elif "accuracy/top1" in entry:
                top1[entry["step"]] = entry["accuracy/top1"]
    if not steps:
        raise ValueError(f"{work_dir} holds no logged iteration")
    losses = {}
    for epoch, loss in steps.values():
        losses.setdefault(epoch, []).append(loss)
    curves = {e: (sum(v) / len(v), top1.get(e)) for e, v in sorted(losses.items())}
    return curves, [json.loads((piece / "run.json").read_text()) for piece in pieces]


def last_state(work_dir):
    paths = sorted(work_dir.glob("epoch_*.pth"), key=lambda p: int(p.stem.partition("_")[2]))
    if not paths:
        raise FileNotFoundError(f"{work_dir} has no epoch_*.pth")
    return paths[-1].name, load_checkpoint_file(paths[-1])["state_dict"]


def write_weights(work_dir, path):
    """Those of the best epoch as for publication, in half precision."""
    best = list(work_dir.glob("best_accuracy_top1_epoch_*.pth"))
    if len(best) != 1:
        raise FileNotFoundError(f"{work_dir} has {len(best)} best_accuracy_top1_epoch_*.pth, not 1")
    save_checkpoint(publishable(load_checkpoint_file(best[0], "cpu"), half=True), path)


def plot(curves, path):
    figure, left = plt.subplots(figsize=(6, 3.5), layout="constrained")
    left.plot(list(curves), [loss for loss, _ in curves.values()], "C0")
    left.set(xlabel="epoch", ylabel="training loss")
    left.yaxis.label.set_color("C0")
    right = left.twinx()
    known = {epoch: top1 for epoch, (_, top1) in curves.items() if top1 is not None}
    right.plot(list(known), list(known.values()), "C1")
    right.set(ylabel="top-1 accuracy, %")
    right.yaxis.label.set_color("C1")
    image = io.BytesIO()
    figure.savefig(image, dpi=150)
    put(image.getvalue(), path)


def main():
    args = parse_args()
    curves, pieces = read_curves(args.work_dir)
    known = [round(top1, 2) for _, top1 in curves.values() if top1 is not None]
    results = dict(
        epochs=len(curves),
        first_loss=round(curves[min(curves)][0], 4),
        last_loss=round(curves[max(curves)][0], 4),
        last_top1=known[-1] if known else None,
        best_top1=max(known, default=None),
    )
    if args.same_as:
        name, state = last_state(args.work_dir)
        other_name, other = last_state(args.same_as)
        results["same_as_other_run"] = (
            name == other_name
            and state.keys() == other.keys()
            and all(torch.equal(value, other[key]) for key, value in state.items())
        )
    if args.weights:
        write_weights(args.work_dir, f"{args.out}.pth")
    rows = [("epoch", "loss", "top1")]
    for epoch, (loss, top1) in curves.items():
        rows.append((epoch, f"{loss:.4f}", "" if top1 is None else f"{top1:.2f}"))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    put_text(text.getvalue(), f"{args.out}.csv")
    plot(curves, f"{args.out}.png")
    write_record(f"{args.out}.json", **results, pieces=pieces)


if __name__ == "__main__":
    main()
