"""Write the curves of a training as CSV, PNG and a record, from the logs in its work dir.

    python tools/record_training.py work_dirs/hadaptive_s_cifar100_in_memory --out docs/results/NAME

The pieces of a resumed run are joined; of an iteration that two pieces logged the later counts.
``--same-as`` compares the last checkpoint, tensor by tensor, with that of another run, such as an
uninterrupted one.
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

from mmhadaptive.engine import load_checkpoint_file
from mmhadaptive.engine.record import write_record


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="result files, without a suffix")
    parser.add_argument("--same-as", type=Path, help="work dir of another run of the same config")
    return parser.parse_args()


def read_curves(work_dir):
    """{epoch: (mean logged loss, top-1 in per cent or None)}, the pieces in the order of time."""
    paths = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not paths:
        raise FileNotFoundError(f"{work_dir} has no */vis_data/scalars.json")
    steps, top1 = {}, {}
    for path in paths:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if "loss" in entry:
                steps[entry["step"]] = (entry["epoch"], entry["loss"])
            elif "accuracy/top1" in entry:
                top1[entry["step"]] = entry["accuracy/top1"]
    losses = {}
    for epoch, loss in steps.values():
        losses.setdefault(epoch, []).append(loss)
    return {e: (sum(v) / len(v), top1.get(e)) for e, v in sorted(losses.items())}, len(paths)


def last_state(work_dir):
    path = max(work_dir.glob("epoch_*.pth"), key=lambda p: int(p.stem.partition("_")[2]))
    return path.name, load_checkpoint_file(path)["state_dict"]


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
    figure.savefig(path, dpi=150)


def main():
    args = parse_args()
    curves, pieces = read_curves(args.work_dir)
    results = dict(pieces=pieces, epochs=len(curves), first_loss=curves[min(curves)][0])
    results["last_loss"], results["last_top1"] = curves[max(curves)]
    results["best_top1"] = max(top1 for _, top1 in curves.values() if top1 is not None)
    if args.same_as:
        name, state = last_state(args.work_dir)
        other_name, other = last_state(args.same_as)
        same = name == other_name and state.keys() == other.keys()
        same = same and all(torch.equal(value, other[key]) for key, value in state.items())
        results["equals_uninterrupted_run"] = same
    args.out.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", "loss", "top1"])
    writer.writerows([epoch, f"{loss:.5f}", top1] for epoch, (loss, top1) in curves.items())
    args.out.with_suffix(".csv").write_text(text.getvalue())
    plot(curves, args.out.with_suffix(".png"))
    write_record(args.out.with_suffix(".json"), **results)


if __name__ == "__main__":
    main()
