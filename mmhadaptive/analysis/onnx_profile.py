"""Which operators of an ONNX file take the time, by ONNX Runtime's own profile."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

# What a network is made of; the rest is overhead.
ARITHMETIC = ("Conv", "FusedConv", "Gemm", "FusedGemm")


def operator_times(path: str | os.PathLike, runs: int = 200, threads: int = 1) -> dict[str, dict]:
    """Time the operators of a file on the CPU, with noise for input and, where it is open, one
    picture.

    Args:
        path: The file.
        runs: How often to run it, after a tenth as many to warm up.
        threads: Of ONNX Runtime.

    Returns:
        Of each operator of the optimised graph ``count``, how many there are, and ``microseconds``,
        the sum of the medians of theirs; the longest first.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    warm = max(1, runs // 10)
    with TemporaryDirectory() as folder:
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "profile")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(0)
        feed = {
            each.name: rng.standard_normal(
                [size if isinstance(size, int) else 1 for size in each.shape], dtype=np.float32
            )
            for each in session.get_inputs()
        }
        for _ in range(warm + runs):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    times = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["name"], event["args"]["op_name"]].append(event["dur"])
    count, total = Counter(), Counter()
    for (_, operator), durations in times.items():
        count[operator] += 1
        total[operator] += median(durations[warm:])
    return {
        operator: dict(count=count[operator], microseconds=time)
        for operator, time in total.most_common()
    }


def overhead(times: dict[str, dict]) -> float:
    """The share of the time that is neither convolution nor Gemm."""
    total = sum(entry["microseconds"] for entry in times.values())
    rest = sum(entry["microseconds"] for name, entry in times.items() if name not in ARITHMETIC)
    return rest / total
