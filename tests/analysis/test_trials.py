"""The trials of what a training survives: how they judge."""

import json
import subprocess

import pytest
import torch

from mmhadaptive.analysis.trials import all as trials
from mmhadaptive.analysis.trials.bench import (
    TrialError,
    error_line,
    finite_losses,
    finite_weights,
    first_steps,
    logged,
)
from mmhadaptive.io.user_errors import UserError


def test_a_failure_is_a_row_and_the_others_run(tmp_path, monkeypatch):
    def fails(bench):
        raise TrialError("a|b\nc")

    def breaks(bench):
        raise KeyError("x")

    monkeypatch.setattr(trials, "Bench", lambda folder, seed: (folder, seed))
    monkeypatch.setattr(
        trials,
        "TRIALS",
        dict(
            one=("well", fails), two=("well", breaks), three=("well", lambda bench: str(bench[1]))
        ),
    )
    lines = []
    entries = trials.run_trials(tmp_path / "new", seed=7, report=lines.append)
    assert [(entry["passed"], entry["detail"]) for entry in entries] == [
        (False, "a|b\nc"),
        (False, "KeyError: 'x'"),
        (True, "7"),
    ]
    assert lines[:2] == ["one: begun", "one: FAILED in 0.0 s: a|b\nc"]
    assert trials.trials_table(entries).splitlines()[2:] == [
        "| one | well | failed | a\\|b c |",
        "| two | well | failed | KeyError: 'x' |",
        "| three | well | passed | 7 |",
    ]
    with pytest.raises(UserError, match="new exists"):
        trials.run_trials(tmp_path / "new")


@pytest.mark.parametrize(
    ("status", "stderr"), [(0, ""), (1, "Traceback\nKeyError: 1"), (2, "usage"), (-9, "")]
)
def test_only_a_named_error_counts(status, stderr):
    with pytest.raises(TrialError):
        error_line(subprocess.CompletedProcess([], status, "", stderr))


def test_the_words_of_an_error():
    stderr = "a warning\ntrain.py: error: it does not fit:\n  a line\n"
    assert error_line(subprocess.CompletedProcess([], 2, "", stderr)) == "it does not fit: a line"


def test_losses_of_several_runs(tmp_path):
    for run, steps in (("1", (1, 2)), ("2", (2, 3))):
        folder = tmp_path / run / "vis_data"
        folder.mkdir(parents=True)
        lines = [json.dumps(dict(step=step, loss=step / 2, time=float(run))) for step in steps]
        (folder / "scalars.json").write_text("\n".join([*lines, '{"step": 4, "lo']))
    found = logged(tmp_path)
    assert {step: len(entries) for step, entries in found.items()} == {1: 1, 2: 2, 3: 1}
    assert found[2][0] == found[2][1] == dict(step=2, loss=1.0)
    assert first_steps(tmp_path) == [1, 2]
    assert finite_losses(tmp_path) == [0.5, 1.0, 1.0, 1.5]
    (folder / "scalars.json").write_text(json.dumps(dict(step=5, loss=float("nan"))))
    with pytest.raises(TrialError, match="nan"):
        finite_losses(tmp_path)


def test_weights_that_are_not_finite(tmp_path):
    state = dict(a=torch.ones(2), b=torch.tensor([1.0, float("inf")]))
    torch.save(dict(state_dict=state), tmp_path / "x.pth")
    with pytest.raises(TrialError, match=r"x\.pth has b"):
        finite_weights(tmp_path / "x.pth")
    state.pop("b")
    torch.save(dict(state_dict=state), tmp_path / "x.pth")
    finite_weights(tmp_path / "x.pth")
