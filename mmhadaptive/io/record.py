"""Results with what is needed to repeat them: device, versions, commit, command."""

from __future__ import annotations

import json
import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from .whole import write_file

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    *("torch", "mmengine", "mmcv", "mmdet", "mmpretrain", "timm", "transformers"),
    *("onnx", "onnxruntime", "onnxruntime-gpu"),
)


def cpu_name() -> str:
    """The name of this machine's processor, as it calls itself."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return cpu


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{cpu_name()}, {torch.get_num_threads()} threads"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        distributions = {"mmdet": "mmdetection"}.get(name, name)
        for candidate in (f"onedl-{distributions}", name):
            try:
                found[candidate] = version(candidate)
            except PackageNotFoundError:
                continue
            break
    return found


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _commit() -> str:
    commit = _git("describe", "--always", "--abbrev=12")
    # Records stand in docs: what one of them changes says nothing about the code of the next.
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return commit + ("-dirty" if changed else "") if commit else "unknown"


# A list of numbers, a number a line; in JSON's strings no line ends.
_NUMBERS = re.compile(r"\[\n[-+\d.eE,\s]+\]")


def _on_one_line(numbers: re.Match) -> str:
    return f"[{' '.join(numbers[0][1:-1].split())}]"


def write_record(path: str | Path, **results) -> dict:
    """Write ``results`` to a JSON file, with the command, the commit, the device and versions.

    Returns:
        What was written.
    """
    record = dict(
        command=shlex.join(["python", *sys.argv]),
        commit=_commit(),
        device=_device(),
        versions=_versions(),
        **results,
    )
    # JSON knows no tensors; mmpretrain's confusion matrix is one.
    text = json.dumps(record, indent=2, default=lambda value: value.tolist())
    write_file(path, _NUMBERS.sub(_on_one_line, text) + "\n")
    return record
