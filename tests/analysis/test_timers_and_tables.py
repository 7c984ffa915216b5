"""Timers time calls; tables are Markdown."""

import time

from mmhadaptive.analysis.tables import markdown_table
from mmhadaptive.analysis.timers import Timer, median_times


def test_the_median_of_the_calls(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def call():
        calls.append(None)
        # The first three calls are not timed; one of the others is slow.
        clock[0] += 50.0 if len(calls) in (1, 6) else 2.0

    assert Timer("cpu", seconds=0.0)(call) == 2.0
    assert len(calls) == 3 + 5


def test_functions_take_turns(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def call(name, seconds):
        calls.append(name)
        # The first round is not timed; in one of the others all are slow.
        clock[0] += seconds * (10 if len(calls) in (1, 2, 5, 6) else 1)

    functions = dict(a=lambda: call("a", 1.0), b=lambda: call("b", 3.0))
    assert median_times(functions, rounds=3) == dict(a=1.0, b=3.0)
    assert calls == ["a", "b"] * 4


def test_a_table():
    table = markdown_table(["a", "b"], [[1, "x"], [2.5, None]])
    assert table == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2.5 | None |\n"
