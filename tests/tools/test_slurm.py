"""What the scripts for Slurm ask of srun."""

import shutil
import sys

import pytest

from ..conftest import run
from ..paths import ROOT

# It writes its words, one a line.
SRUN = '#!/bin/sh\nprintf "%s\\n" "$@" > "$SRUN_LOG"\n'


@pytest.fixture
def asked(tmp_path):
    """Run a script with a stand-in for srun; returns srun's options and the command."""
    (tmp_path / "bin").mkdir()
    srun = tmp_path / "bin" / "srun"
    srun.write_text(SRUN)
    srun.chmod(0o755)
    log = tmp_path / "words"
    path = f"{srun.parent}:/usr/bin:/bin"

    def ask(script, *arguments, **environment):
        run([ROOT / "tools" / script, *arguments], PATH=path, SRUN_LOG=str(log), **environment)
        words = log.read_text().splitlines()
        first = next(i for i, word in enumerate(words) if not word.startswith("-"))
        return words[:first], words[first:]

    return ask


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("script", "python_script", "place"),
    [
        ("slurm_train.sh", "train.py", ["--work-dir", "work dirs/a"]),
        ("slurm_test.sh", "test.py", ["work dirs/a"]),
    ],
)
def test_tasks_and_arguments(asked, script, python_script, place):
    words = ("gpu", "ssd s", "config.py", "work dirs/a", "--cfg-options", "a.b='c d'")
    options, command = asked(script, *words)
    assert options == [
        *("--partition=gpu", "--job-name=ssd s", "--ntasks=8", "--ntasks-per-node=8"),
        *("--gres=gpu:8", "--cpus-per-task=5", "--kill-on-bad-exit=1"),
    ]
    assert command[:2] == ["python", "-u"]
    assert command[2] == str(ROOT / "tools" / python_script)
    assert command[3:] == ["config.py", *place, "--launcher", "slurm", "--cfg-options", "a.b='c d'"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (dict(GPUS="2"), ["--ntasks=2", "--ntasks-per-node=2", "--gres=gpu:2"]),
        (
            dict(GPUS="16", GPUS_PER_NODE="4", CPUS_PER_TASK="3"),
            ["--ntasks=16", "--ntasks-per-node=4", "--gres=gpu:4", "--cpus-per-task=3"],
        ),
        (dict(SRUN_ARGS="--quotatype=spot --exclusive"), ["--quotatype=spot", "--exclusive"]),
    ],
)
def test_the_environment_says_how_many(asked, environment, expected):
    options, command = asked(
        "slurm_train.sh", "gpu", "job", "c.py", "w", PYTHON=sys.executable, **environment
    )
    assert set(expected) <= set(options)
    assert command[0] == sys.executable


def test_words_that_are_missing_start_nothing(asked, tmp_path):
    with pytest.raises(AssertionError, match="failed"):
        asked("slurm_train.sh", "gpu", "job", "config.py")
    assert not (tmp_path / "words").exists()
