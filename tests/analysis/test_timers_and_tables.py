"""Timers time calls; tables are Markdown."""

import time

from mmhadaptive.analysis.tables import markdown_table
from mmhadaptive.analysis.timers import Timer


def test_the_median_of_the_calls(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def call():
        calls.append(None)
        # The first three calls are not timed; one of the others is slow.
        clock[0] += 50.0 if len(calls) in (1, 6) else 2.0

    assert Timer("cpu", seconds=0.0)(call) == 2.0
    assert len(calls) == 3 + 5


def test_a_table():
    table = markdown_table(["a", "b"], [[1, "x"], [2.5, None]])
    assert table == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2.5 | None |\n"
