"""Two processes against one with the doubled batch."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.whole import write_file

from .bench import Bench, expect, finite_losses

TOLERANCE = 1e-5
# What depends on the pictures of one process is left out: the statistics of batch normalisation,
# and noise, which each process draws for itself. SGD, since AdamW's step is as large for a gradient
# that is rounding alone as for any other.
SETTINGS = """
norm_cfg = dict(type="GN", num_groups=8)
model = dict(
    backbone=dict(norm_eval=True, ach_cfg=dict(selection="fixed")),
    neck=dict(norm_cfg=norm_cfg),
    bbox_head=dict(norm_cfg=norm_cfg),
)
train_dataloader = dict(batch_size={batch})
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="SGD", lr=0.01, momentum=0.9), clip_grad=None
)
train_cfg = dict(max_epochs=3, val_interval=3)
"""


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint_file(path, "cpu")["state_dict"]


def _difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max((a[name] - b[name]).abs().max().item() for name in a if a[name].is_floating_point())


def compare_processes(bench: Bench) -> str:
    """Train a detector with two gloo processes, and with one and batches of twice the size."""
    one, two = bench.folder / "one_process", bench.folder / "two_processes"
    config = bench.detector("one_process_config", more=SETTINGS.format(batch=8))
    bench.train_well(config, one)
    config = bench.detector("two_processes_config", more=SETTINGS.format(batch=4))
    command = [str(FOLDER / "tools" / "dist_train.sh"), str(config), "2", "--work-dir", str(two)]
    port = str(20_000 + os.getpid() % 20_000)
    result = bench.run(["env", f"PORT={port}", "PYTHONFAULTHANDLER=1", *command])
    # The end is torchrun's; what went wrong stands before it.
    log = bench.folder / "two_processes.log"
    write_file(log, result.stderr)
    expect(result.returncode == 0, f"status {result.returncode}: see {log}")
    finite_losses(one)
    first, last, other = (
        _weights(path) for path in (one / "epoch_1.pth", one / "epoch_3.pth", two / "epoch_3.pth")
    )
    moved, difference = _difference(first, last), _difference(last, other)
    expect(moved > 100 * TOLERANCE, f"the weights moved by {moved:.1e} only")
    expect(difference <= TOLERANCE, f"the weights differ by {difference:.1e}")
    return f"weights that moved by {moved:.1e} in two epochs differ by at most {difference:.1e}"
