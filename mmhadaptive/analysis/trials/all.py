"""The trials in a row, and their table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from mmhadaptive.io.user_errors import UserError

from ..tables import markdown_table
from .bad_data import (
    survive_a_truncated_picture,
    survive_an_empty_picture,
    survive_batches_without_objects,
    survive_nan,
    survive_negative_and_empty_boxes,
    survive_one_class,
)
from .bad_files import refuse_a_malicious_pickle
from .bad_losses import survive_an_infinite_loss, survive_infinite_gradients
from .bench import Bench, TrialError
from .disks import survive_a_full_disk, survive_a_large_file, survive_a_read_only_work_dir
from .kills import survive_kills
from .processes import compare_processes

WHOLE = "the error is named; the last checkpoint is whole and resumes"
#: By name, what is expected and the trial.
TRIALS: dict[str, tuple[str, Callable[[Bench], str]]] = {
    # The longest first.
    "kill -9": ("resumed, equal bit for bit to the uninterrupted training", survive_kills),
    "malicious checkpoint": ("refused by name, not executed", refuse_a_malicious_pickle),
    "truncated PNG": ("the error names the picture", survive_a_truncated_picture),
    "truncated JPEG": (
        "the error names the picture",
        partial(survive_a_truncated_picture, suffix=".jpg"),
    ),
    "a box with NaN": ("refused before the training", survive_nan),
    "negative and zero-area boxes": ("left out, all finite", survive_negative_and_empty_boxes),
    "an empty picture": ("left out or trained on, all finite", survive_an_empty_picture),
    "batches without a positive box": ("all finite", survive_batches_without_objects),
    "one class": ("all finite", survive_one_class),
    "infinite loss, bfloat16": (WHOLE.partition(" and")[0], survive_an_infinite_loss),
    "infinite gradients, bfloat16": (
        "the error is named; no checkpoint has the weights",
        survive_infinite_gradients,
    ),
    "read-only work dir": (WHOLE, survive_a_read_only_work_dir),
    "file too large for the disk": (WHOLE, survive_a_large_file),
    "full disk": (WHOLE, survive_a_full_disk),
    "two gloo processes": ("as one with the doubled batch, to 1e-5", compare_processes),
}


def run_trials(
    folder: Path,
    names: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> list[dict]:
    """Run trials, each to its end whatever becomes of the others.

    Args:
        folder: A folder for data and work dirs that does not exist.
        names: Some of :data:`TRIALS`; all by default.
        seed: Of the moments of the kills.
        jobs: How many run at a time.
        report: Is called with a line before and after each trial.

    Returns:
        An entry a trial: ``name``, ``expected``, ``passed``, ``detail`` in words and ``seconds``.

    Raises:
        UserError: The folder exists.
    """
    names = list(TRIALS) if names is None else names
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"{folder} exists: remove it or give another --work-dir") from None
    bench = Bench(folder.resolve(), seed)

    def run(name: str) -> dict:
        expected, trial = TRIALS[name]
        report(f"{name}: begun")
        start = time.monotonic()
        try:
            passed, detail = True, trial(bench)
        # The others are to run.
        except Exception as error:
            known = isinstance(error, TrialError)
            passed, detail = False, str(error) if known else f"{type(error).__name__}: {error}"
        seconds = round(time.monotonic() - start, 1)
        report(f"{name}: {'passed' if passed else 'FAILED'} in {seconds} s: {detail}")
        return dict(name=name, expected=expected, passed=passed, detail=detail, seconds=seconds)

    # What they run are processes of their own.
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, names))


def trials_table(trials: list[dict]) -> str:
    """The entries of :func:`run_trials` in Markdown, a row a trial."""
    rows = [
        [
            trial["name"],
            trial["expected"],
            "passed" if trial["passed"] else "failed",
            # A cell is one line, and its bars would end it.
            " ".join(trial["detail"].split()).replace("|", "\\|"),
        ]
        for trial in trials
    ]
    return markdown_table(["trial", "expected", "outcome", "what was seen"], rows)
