"""How long networks take for one image: the forms in which they run, timed in turns."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from .timers import times_in_turns


@dataclass(frozen=True)
class Form:
    """In which a network runs.

    Args:
        title: In tables and pictures.
        runtime: ``'onnxruntime'``, or PyTorch ``'eager'`` or ``'compiled'``.
        threads: On the CPU; None for all cores.
        device: ``'cpu'`` or ``'cuda'``.
        fused: Whether by the operators of this package, which change our networks alone.
    """

    title: str
    runtime: str
    threads: int | None = 1
    device: str = "cpu"
    fused: bool = False


#: By name.
FORMS = {
    "onnxruntime": Form("ONNX Runtime, 1 thread", "onnxruntime"),
    "onnxruntime-all": Form("ONNX Runtime, all cores", "onnxruntime", None),
    "onnxruntime-fused": Form("ONNX Runtime fused, 1 thread", "onnxruntime", fused=True),
    "eager": Form("PyTorch, 1 thread", "eager"),
    "compiled": Form("torch.compile, 1 thread", "compiled"),
    "fused": Form("PyTorch fused, 1 thread", "eager", fused=True),
    "onnxruntime-cuda": Form("ONNX Runtime, GPU", "onnxruntime", None, "cuda"),
    "eager-cuda": Form("PyTorch, GPU", "eager", None, "cuda"),
    "compiled-cuda": Form("torch.compile, GPU", "compiled", None, "cuda"),
    "fused-cuda": Form("PyTorch fused, GPU", "eager", None, "cuda", fused=True),
}


def available_forms() -> list[str]:
    """The names of the forms that this machine runs."""
    import onnxruntime

    on_gpu = {"onnxruntime": "CUDAExecutionProvider" in onnxruntime.get_available_providers()}
    return [
        name
        for name, form in FORMS.items()
        if form.device == "cpu" or on_gpu.get(form.runtime, torch.cuda.is_available())
    ]


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def onnxruntime_options(threads: int | None = 1):
    """``SessionOptions`` for so many threads, None for all cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores() if threads is None else threads
    return options


def onnxruntime_providers(device: str) -> list[str]:
    """Execution providers; the CPU takes what CUDA's lacks."""
    return ["CUDAExecutionProvider"] * (device == "cuda") + ["CPUExecutionProvider"]


def onnxruntime_call(session, image: np.ndarray) -> Callable[[], np.ndarray]:
    """A run of an ``InferenceSession`` with one input; its value is the first output.

    The image and the outputs lie in the memory of the CPU in any case.
    """
    feed = {session.get_inputs()[0].name: image}
    return lambda: session.run(None, feed)[0]


def pytorch_call(
    model: nn.Module, image: np.ndarray, compiled: bool = False, device: str = "cpu"
) -> Callable[[], torch.Tensor]:
    """A forward of a classifier of OpenMMLab's; its value are the logits.

    Args:
        model: The network, in evaluation mode.
        image: ``(1, 3, H, W)``.
        compiled: Whether by torch.compile, with weights as constants (``freezing``); the first call
            compiles.
        device: To which network and image are brought.
    """
    model = model.to(device)
    x = torch.from_numpy(image).to(device)
    # Isolated, for networks of one class would count as recompilations of one another.
    function = (
        torch.compile(model, dynamic=False, options=dict(freezing=True), isolate_recompiles=True)
        if compiled
        else model
    )

    def call() -> torch.Tensor:
        with torch.no_grad():
            return function(x, mode="tensor")

    return call


def difference(value, expected) -> float:
    """The largest difference of two outputs, as a part of the second one's largest entry."""
    value, expected = (torch.as_tensor(entry).cpu() for entry in (value, expected))
    return float((value - expected).abs().max() / expected.abs().max())


def time_in_turns(
    calls: dict[tuple[str, str], Callable[[], object]],
    runs: int,
    turn: int,
    report: Callable[[str], None] = lambda line: None,
) -> dict[tuple[str, str], dict[str, float]]:
    """Time calls, by network and form, so that drift hits all alike.

    In each round every call has a turn: one run that is not timed, and ``turn`` that are. Before
    the first round there are ten.

    Args:
        calls: By network and form.
        runs: That are timed of each call, rounded up to whole turns.
        turn: Of them in a row.
        report: Is called with a line of progress ten times.

    Returns:
        For each call its times in milliseconds; see :func:`quartiles`.
    """
    rounds = -(-runs // turn)

    def tell(number: int) -> None:
        if number * 10 // rounds > (number - 1) * 10 // rounds:
            report(f"round {number} of {rounds}")

    times = times_in_turns(calls, rounds, calls=turn, untimed=1, warm_up=10, report=tell)
    return {key: quartiles(values) for key, values in times.items()}


def quartiles(seconds: Sequence[float]) -> dict[str, float]:
    """``min``, ``q1``, ``median`` and ``q3`` in milliseconds, to the microsecond."""
    # Quartiles of a single time are that time.
    values = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else None
    cuts = [min(seconds), *(values or 3 * list(seconds))]
    names = ("min", "q1", "median", "q3")
    return {name: round(1000 * value, 3) for name, value in zip(names, cuts, strict=True)}


def picture_pipeline(cfg: Config, path: str | Path) -> Callable[[], dict]:
    """A detector's test pipeline for the file of a picture; its value is a batch of one."""
    steps = [step for step in cfg.test_pipeline if "Annotations" not in step["type"]]
    with DefaultScope.overwrite_default_scope("mmdet"):
        pipeline = Compose(steps)
    return lambda: pseudo_collate([pipeline(dict(img_path=str(path), img_id=0))])


def detector_call(model: nn.Module, read: Callable[[], dict]) -> Callable[[], InstanceData]:
    """A detection in PyTorch from a picture's file to its boxes.

    Args:
        model: The detector, in evaluation mode.
        read: That of :func:`picture_pipeline`.
    """

    def call() -> InstanceData:
        with torch.no_grad():
            return model.test_step(read())[0].pred_instances

    return call
