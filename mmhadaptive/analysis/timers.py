"""How long functions take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


class Timer:
    """The median time of a call.

    On a CPU calls are timed one by one. On a GPU they are captured as a CUDA graph, so that
    launching is not part of the time, and something larger than the cache is written between them.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        seconds: How long to repeat; a few calls are timed in any case.
    """

    def __init__(self, device: str, seconds: float) -> None:
        self.device = device
        self.seconds = seconds

    def __call__(self, function: Callable[[], object]) -> float:
        """Seconds a call takes."""
        for _ in range(3):
            function()
        return self._on_gpu(function) if self.device == "cuda" else self._on_cpu(function)

    def _on_cpu(self, function: Callable[[], object]) -> float:
        times = []
        end = time.perf_counter() + self.seconds
        while len(times) < 5 or time.perf_counter() < end:
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def _on_gpu(self, function: Callable[[], object]) -> float:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            function()
        # Written between runs, so that nothing is read from the cache of the run before.
        flush = torch.empty(256 * 2**20, dtype=torch.int8, device="cuda")
        times = []
        end = time.perf_counter() + self.seconds
        while len(times) < 10 or time.perf_counter() < end:
            flush.zero_()
            events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            events[0].record()
            graph.replay()
            events[1].record()
            torch.cuda.synchronize()
            times.append(events[0].elapsed_time(events[1]) / 1000)
        return statistics.median(times)


def median_times(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of calls that take turns, so that what disturbs them disturbs all.

    Each is called once before; work on a GPU is waited for.
    """
    times = times_in_turns(functions, rounds)
    return {name: statistics.median(values) for name, values in times.items()}


def times_in_turns(
    functions: dict[str, Callable[[], object]],
    rounds: int,
    calls: int = 1,
    untimed: int = 0,
    warm_up: int = 1,
    report: Callable[[int], None] = lambda number: None,
) -> dict[str, list[float]]:
    """The seconds of calls of functions that take turns; work on a GPU is waited for.

    Args:
        functions: By name.
        rounds: In each of them every function has a turn.
        calls: That are timed in a turn, each by itself.
        untimed: Calls before them in each turn, which bring what the function reads back into the
            caches, from which those before it drove it.
        warm_up: Calls of each function before the first round.
        report: Is called after every round with its number, from 1.

    Returns:
        By name, ``rounds * calls`` times, in their order.
    """
    times = {name: [] for name in functions}
    for _ in range(warm_up):
        for function in functions.values():
            function()
    for number in range(1, rounds + 1):
        for name, function in functions.items():
            for _ in range(untimed):
                function()
            for _ in range(calls):
                _synchronize()
                start = time.perf_counter()
                function()
                _synchronize()
                times[name].append(time.perf_counter() - start)
        report(number)
    return times


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
