"""Trainings one after the other, by the tools as a user calls them, that end and go on."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.fileio import load

from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.user_errors import UserError
from mmhadaptive.io.whole import write_file

# What a run needs beside its training steps: the start, a validation.
MARGIN = 60


@dataclass(frozen=True)
class Run:
    """A training: what it is called, its config and work dir, and its ``--cfg-options``."""

    title: str
    config: Path
    work_dir: Path
    settings: tuple[str, ...] = ()


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of a tool that trains on CIFAR-100 with :func:`train_all`, and its own."""
    parser.add_argument("data", type=Path, help="folder with train.npz and test.npz")
    parser.add_argument("results", type=Path, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=1e9, help="ends after that time")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the record")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for all runs"
    )
    args = parser.parse_args()
    for split in ("train", "test"):
        if not (args.data / f"{split}.npz").is_file():
            parser.error(f"no {split}.npz in {args.data}")
    if args.out and args.out.suffix != ".json":
        parser.error(f"--out must end in .json, got {args.out}")
    return args


def run_tool(*words: object) -> None:
    """Run a script of ``tools/``, which shows its progress itself.

    Raises:
        UserError: It failed.
    """
    script, *arguments = map(str, words)
    command = [sys.executable, str(FOLDER / "tools" / script), *arguments]
    status = subprocess.run(command).returncode
    if status:
        raise UserError(f"status {status} of {' '.join(command)}")


def keep_settings(folder: Path, options: Sequence[str]) -> None:
    """Refuse to mix runs of different ``--cfg-options`` in a folder."""
    path = folder / "settings.json"
    if not path.exists():
        write_file(path, json.dumps(list(options)))
    elif (before := load(path)) != list(options):
        raise UserError(
            f"{folder} has runs with the settings {before}, not {list(options)}: "
            "give another folder"
        )


def finished(run: Run) -> bool:
    """Whether the work dir holds the last epoch of the training."""
    used = run.work_dir / run.config.name
    if not used.exists():
        return False
    epochs = Config.fromfile(used, import_custom_modules=False).train_cfg.max_epochs
    return (run.work_dir / f"epoch_{epochs}.pth").exists()


def train_all(
    runs: Iterable[Run],
    seconds: float,
    log: Callable[[str], None],
    tool: Callable[..., None] = run_tool,
) -> bool:
    """Train one after the other, for so many seconds; called again it continues.

    Args:
        runs: Of configs with a ``TimedCheckpointHook``.
        seconds: After so long the run in progress writes a checkpoint and ends.
        log: Called with a line of progress.
        tool: Called with the words of a command, of which the first is a script of ``tools/``.

    Returns:
        Whether all are trained.

    Raises:
        UserError: A run failed.
    """
    end = time.monotonic() + seconds
    for run in runs:
        if finished(run):
            continue
        left = end - time.monotonic() - MARGIN
        if left > 0:
            log(run.title)
            clock = f"default_hooks.timed_checkpoint.stop_seconds={left:.0f}"
            words = [run.config, "--resume", "--work-dir", run.work_dir]
            tool("train.py", *words, "--cfg-options", clock, *run.settings)
        if left <= 0 or not finished(run):
            log(f"time is up; {run.title} and what follows it are not done")
            return False
    return True
