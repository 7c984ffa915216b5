"""Temperature and entropy of the choice over a training, as ``AdaptTemperatureHook`` logs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmhadaptive.io.user_errors import UserError, UserValueError


@dataclass(frozen=True)
class LoggedChoice:
    """One layer in one logged iteration; see ``AdaptTemperatureHook``."""

    step: int
    epoch: int
    channels: int
    tau: float
    entropy: float | None
    information: float | None


def _entries(path: Path) -> Iterator[dict]:
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            # A run that was killed leaves its last line unfinished.
            if number < len(lines):
                raise UserValueError(f"{path}, line {number}: {error}") from error


def read_selection_log(work_dir: Path) -> dict[str, list[LoggedChoice]]:
    """By layer, what was logged of its choice, by iteration.

    The pieces of a resumed run are joined; of an iteration that two pieces logged the later counts.

    Args:
        work_dir: Of ``tools/train.py``.

    Raises:
        UserError: Nothing was logged there.
        UserValueError: A line, other than the last one of a file, is no JSON.
    """
    steps: dict[int, dict] = {}
    for path in sorted(work_dir.glob("*/vis_data/selection.jsonl")):
        for entry in _entries(path):
            steps[entry["step"]] = entry
    layers: dict[str, list[LoggedChoice]] = {}
    for step, entry in sorted(steps.items()):
        for name, values in entry["layers"].items():
            layers.setdefault(name, []).append(LoggedChoice(step, entry["epoch"], **values))
    if not layers:
        raise UserError(
            f"{work_dir} has no */vis_data/selection.jsonl, which AdaptTemperatureHook writes in a "
            "training of cross-Hadamard layers"
        )
    return layers
