"""What the trials share: a small data set, configs for it, and the tools as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.whole import write_file

#: Seconds that one run of a tool may take.
LIMIT = 240
# Of the crops; the pictures have twice as many a side.
SIZE = 32
CLASSIFIER = """
_base_ = {base!r}
data_root = {data!r}
train_dataloader = dict(batch_size=16, dataset=dict(dataset=dict(data_root=data_root)))
val_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root)))
test_dataloader = dict(dataset=dict(data_root=data_root))
train_cfg = dict(type="ResumableTrainLoop", max_epochs=1)
# A checkpoint after every iteration.
default_hooks = dict(
    logger=dict(interval=1),
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=0, interval=1),
)
# Single losses.
log_processor = dict(window_size=1)
"""
DETECTOR = """
_base_ = {base!r}
data_root = {data!r}
model = dict(backbone=dict(init_cfg=dict(_delete_=True, type="Kaiming", layer="Conv2d")))
train_pipeline = _base_.train_pipeline
train_pipeline[-2].scale = ({side}, {side})
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = ({side}, {side})
train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
test_evaluator = val_evaluator
param_scheduler = []
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
"""


class TrialError(Exception):
    """What was expected did not happen; the message says what did."""


def expect(condition: object, message: str) -> None:
    """Raise a :class:`TrialError` with this message unless the condition holds."""
    if not condition:
        raise TrialError(message)


class Bench:
    """A small set of digits in a folder, and the tools to train with it.

    Args:
        folder: An empty folder, of which every trial uses a folder of its own.
        seed: Of what a trial draws at random.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.seed = seed
        self.data = folder / "digits"
        counts = ("--train", 24, "--val", 8, "--crops", 640, "--size", 2 * SIZE)
        result = self.run(self.command("data/make_digits.py", "--out-dir", self.data, *counts))
        expect(result.returncode == 0, f"no digits were drawn: {result.stderr[-500:]}")

    def classifier(self) -> Path:
        """A config of Hadaptive-Net-S on the crops: 40 iterations an epoch, a checkpoint each."""
        base = FOLDER / "configs" / "classification" / "digits" / "hadaptive_s_digits.py"
        path = self.folder / "classifier.py"
        write_file(path, CLASSIFIER.format(base=str(base), data=f"{self.data}/crops/"))
        return path

    def detector(self, name: str = "detector", data: Path | None = None, more: str = "") -> Path:
        """A config of SSD Hadaptive-Net-S on the pictures: 6 iterations an epoch of 4 pictures.

        Args:
            name: Of the file.
            data: A folder of the form of ``digits``, in its place.
            more: The lines of a config on top of it.
        """
        base = FOLDER / "configs" / "detection" / "ssd_hadaptive_s_digits.py"
        text = DETECTOR.format(base=str(base), data=f"{data or self.data}/", side=2 * SIZE)
        path = self.folder / f"{name}.py"
        write_file(path, text)
        if more:
            base, path = path, self.folder / f"{name}_more.py"
            write_file(path, f"_base_ = {str(base)!r}\n{more}")
        return path

    def command(self, tool: str, *arguments: object, prefix: Sequence[str] = ()) -> list[str]:
        """The command line of one of the tools."""
        return [*prefix, sys.executable, str(FOLDER / "tools" / tool), *map(str, arguments)]

    def start(self, command: Sequence[str], **options) -> subprocess.Popen:
        """Start a command on one thread, as the leader of a process group."""
        environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHON=sys.executable)
        return subprocess.Popen(
            command, env=environment, text=True, start_new_session=True, **options
        )

    def run(self, command: Sequence[str], **options) -> subprocess.CompletedProcess:
        """Run a command to its end.

        Raises:
            TrialError: It takes longer than :data:`LIMIT`; it is ended.
        """
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with self.start(command, **pipes, **options) as process:
            try:
                out, error = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.communicate()
                raise TrialError(f"it took longer than {LIMIT} s") from None
        return subprocess.CompletedProcess(command, process.returncode, out, error)

    def train(self, config: Path, work_dir: Path, *arguments: object, **options):
        """Run ``tools/train.py``; ``prefix`` and ``preexec_fn`` are among the options."""
        prefix = options.pop("prefix", ())
        command = self.command(
            "train.py", config, "--work-dir", work_dir, *arguments, prefix=prefix
        )
        return self.run(command, **options)

    def train_well(self, config: Path, work_dir: Path, *arguments: object, **options) -> None:
        """Train to the end.

        Raises:
            TrialError: It did not get there; the message has the end of its errors.
        """
        result = self.train(config, work_dir, *arguments, **options)
        expect(result.returncode == 0, f"status {result.returncode}: {result.stderr[-500:]}")


def error_line(result: subprocess.CompletedProcess) -> str:
    """The message with which a tool ended: status 2, and ``TOOL: error: MESSAGE`` on stderr.

    Raises:
        TrialError: It ended otherwise.
    """
    expect(result.returncode == 2, f"status {result.returncode}: {result.stderr[-500:]}")
    lines = result.stderr.splitlines()
    start = next((i for i, line in enumerate(lines) if ": error: " in line), None)
    expect(start is not None, f"no error was named: {result.stderr[-500:]}")
    return " ".join(line.strip() for line in lines[start:]).partition(": error: ")[2]


def _runs(work_dir: Path) -> Iterator[list[dict]]:
    """What each run in a work dir logged of its iterations, the first run first."""
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        entries = []
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                # The run was killed while it wrote the line.
                continue
            if "loss" in entry:
                entries.append(
                    {k: v for k, v in entry.items() if k not in ("time", "data_time", "memory")}
                )
        yield entries


def logged(work_dir: Path) -> dict[int, list[dict]]:
    """What the runs in a work dir logged of each iteration, without times and memory."""
    found = {}
    for entries in _runs(work_dir):
        for entry in entries:
            found.setdefault(entry["step"], []).append(entry)
    return found


def first_steps(work_dir: Path) -> list[int]:
    """The first iteration that each run in a work dir logged, where it logged one."""
    return [entries[0]["step"] for entries in _runs(work_dir) if entries]


def finite_losses(work_dir: Path) -> list[float]:
    """The losses of a work dir.

    Raises:
        TrialError: There is none, or one is infinite or no number.
    """
    losses = [entry["loss"] for entries in logged(work_dir).values() for entry in entries]
    expect(losses, "no loss was logged")
    expect(torch.tensor(losses).isfinite().all(), f"losses {losses}")
    return losses


def finite_weights(path: Path) -> None:
    """Raise a :class:`TrialError` unless a checkpoint is whole and its numbers are finite."""
    state = load_checkpoint_file(path, "cpu")["state_dict"]
    bad = [name for name, value in state.items() if not value.isfinite().all()]
    expect(not bad, f"{path.name} has {', '.join(bad[:3])} that are not finite")


def last_checkpoint(work_dir: Path) -> Path:
    """The checkpoint from which a run in a work dir would resume."""
    return work_dir / Path((work_dir / "last_checkpoint").read_text().strip()).name
