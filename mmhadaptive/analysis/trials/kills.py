"""kill -9 at random points of a training, in the writing of a checkpoint too."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import torch

from mmhadaptive.io.checkpoint import load_checkpoint_file

from .bench import LIMIT, Bench, expect, first_steps, last_checkpoint, logged

EPOCHS = 3
DELAY = 1.0


def unfinished(work_dir: Path) -> set[Path]:
    """Checkpoints in the work dir that have content and not yet their name."""
    return {path for path in work_dir.glob(".*.pth.*/*.pth") if path.stat().st_size}


def _found_unfinished(work_dir: Path) -> set[Path]:
    while True:
        try:
            return unfinished(work_dir)
        except FileNotFoundError:
            # Finished meanwhile.
            continue


def _wait(condition, process: subprocess.Popen) -> bool:
    """Whether it holds before the process ends."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _kill_once(process: subprocess.Popen, work_dir: Path, delay: float, writing: bool) -> bool:
    """Kill a run so many seconds after its first iteration, in a writing or not; False at its
    end."""
    before = len(first_steps(work_dir))

    def begun() -> bool:
        # A look at the logs is slow.
        time.sleep(0.02)
        return len(first_steps(work_dir)) > before

    alive = _wait(begun, process)
    time.sleep(delay)
    if alive and writing:
        alive = _wait(lambda: _found_unfinished(work_dir), process)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return alive and process.returncode == -signal.SIGKILL


def survive_kills(bench: Bench, kills: int = 20) -> str:
    """Kill and resume a classifier's training, and compare it with one that nobody disturbed.

    Every run resumes from the last whole checkpoint; all losses, also those that two runs
    computed, and the last weights and the optimizer's state are equal bit for bit.

    Args:
        bench: Where to train.
        kills: How many; every second one waits for the writing of a checkpoint.
    """
    config = bench.classifier()
    options = ("--cfg-options", f"train_cfg.max_epochs={EPOCHS}")
    straight, killed = bench.folder / "straight", bench.folder / "killed"
    bench.train_well(config, straight, *options)
    draw = random.Random(bench.seed)
    done = in_writing = 0
    reached = 0
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for number in range(kills):
        command = bench.command("train.py", config, "--work-dir", killed, "--resume", *options)
        process = bench.start(command, **quiet)
        alive = _kill_once(process, killed, draw.uniform(0, DELAY), number % 2 == 1)
        expect(alive, f"the training ended before kill {number + 1}, with {process.returncode}")
        done += 1
        first = first_steps(killed)[-1]
        expect(first == reached + 1, f"iteration {first} came first after {reached}")
        # What earlier kills left was removed at the start of this run.
        in_writing += bool(unfinished(killed))
        if (killed / "last_checkpoint").exists():
            meta = load_checkpoint_file(last_checkpoint(killed))["meta"]
            expect(meta["iter"] >= reached, f"iteration {meta['iter']} after {reached}")
            reached = meta["iter"]
    bench.train_well(config, killed, "--resume", *options)

    expected, actual = logged(straight), logged(killed)
    expect(expected.keys() == actual.keys(), "the runs logged other iterations")
    for step, entries in actual.items():
        for entry in entries:
            expect(entry == expected[step][0], f"{entry} is not {expected[step][0]}")
    name = f"epoch_{EPOCHS}.pth"
    a, b = (load_checkpoint_file(folder / name) for folder in (straight, killed))
    for part in ("state_dict", "optimizer"):
        torch.testing.assert_close(b[part], a[part], rtol=0, atol=0)
    left = [path.name for path in killed.glob(".*")]
    expect(not left, f"{', '.join(left)} stayed in the work dir")
    repeated = sum(len(entries) - 1 for entries in actual.values())
    return (
        f"{done} kills, {in_writing} of them in the writing of a checkpoint; {len(actual)} "
        f"iterations, {repeated} of them computed twice, all losses and the last weights equal"
    )
