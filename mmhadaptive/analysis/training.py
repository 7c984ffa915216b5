"""A training, by what ``tools/train.py`` left in its work dir."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mmhadaptive.io.checkpoint import load_checkpoint_file

# By epoch: the mean logged loss, and the metric where it was validated.
Curves = dict[int, tuple[float, float | None]]


def read_curves(work_dir: Path, metric: str = "accuracy/top1") -> tuple[Curves, list[dict]]:
    """The curves of a training, and the records of its pieces.

    The pieces of a resumed run are joined; of an iteration that two pieces logged the later counts.

    Args:
        work_dir: Of ``tools/train.py``.
        metric: Name in the log, such as ``coco/bbox_mAP``. Top-1 is in per cent, AP is a share.

    Raises:
        FileNotFoundError: No piece has a ``run.json``.
        ValueError: No iteration was logged.
    """
    pieces = sorted(path.parent for path in work_dir.glob("*/run.json"))
    if not pieces:
        raise FileNotFoundError(f"{work_dir} has no */run.json, which tools/train.py writes")
    steps, values = {}, {}
    for piece in pieces:
        scalars = piece / "vis_data" / "scalars.json"
        for line in scalars.read_text().splitlines() if scalars.exists() else ():
            entry = json.loads(line)
            if "loss" in entry:
                steps[entry["step"]] = (entry["epoch"], entry["loss"])
            elif metric in entry:
                values[entry["step"]] = entry[metric]
    if not steps:
        raise ValueError(f"{work_dir} holds no logged iteration")
    losses = {}
    for epoch, loss in steps.values():
        losses.setdefault(epoch, []).append(loss)
    curves = {e: (sum(v) / len(v), values.get(e)) for e, v in sorted(losses.items())}
    return curves, [json.loads((piece / "run.json").read_text()) for piece in pieces]


def summary(curves: Curves, metric: str = "accuracy/top1") -> dict:
    """Losses of the first and the last epoch, and the metric of the last and the best one."""
    known = [round(value, 4) for _, value in curves.values() if value is not None]
    name = metric.rpartition("/")[2]
    return {
        "epochs": len(curves),
        "first_loss": round(curves[min(curves)][0], 4),
        "last_loss": round(curves[max(curves)][0], 4),
        f"last_{name}": known[-1] if known else None,
        f"best_{name}": max(known, default=None),
    }


def last_checkpoint(work_dir: Path) -> Path:
    """The checkpoint of the last epoch.

    Raises:
        FileNotFoundError: There is no ``epoch_*.pth``.
    """
    paths = sorted(work_dir.glob("epoch_*.pth"), key=lambda p: int(p.stem.partition("_")[2]))
    if not paths:
        raise FileNotFoundError(f"{work_dir} has no epoch_*.pth")
    return paths[-1]


def best_checkpoint(work_dir: Path) -> Path:
    """The checkpoint of the epoch with the best top-1.

    Raises:
        FileNotFoundError: There is no ``best_accuracy_top1_epoch_*.pth``, or more than one.
    """
    best = list(work_dir.glob("best_accuracy_top1_epoch_*.pth"))
    if len(best) != 1:
        raise FileNotFoundError(f"{work_dir} has {len(best)} best_accuracy_top1_epoch_*.pth, not 1")
    return best[0]


def ended_alike(work_dir: Path, other: Path) -> bool:
    """Whether two trainings ended at the same epoch with the same tensors, bit for bit."""
    paths = last_checkpoint(work_dir), last_checkpoint(other)
    first, second = (load_checkpoint_file(path)["state_dict"] for path in paths)
    return (
        paths[0].name == paths[1].name
        and first.keys() == second.keys()
        and all(torch.equal(value, second[key]) for key, value in first.items())
    )
