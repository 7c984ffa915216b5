"""How long a function takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

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


def alternate(functions: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """The median times of calls on the CPU, in seconds.

    The functions take turns, so that whatever disturbs the machine disturbs all of them.

    Args:
        functions: What to compare.
        seconds: How long to repeat; a few rounds are timed in any case.
    """
    times = [[] for _ in functions]
    for function in functions:
        function()
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or time.perf_counter() < end:
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]
