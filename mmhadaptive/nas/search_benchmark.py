"""What a step of a search costs beside two training steps of one network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.layers import adapt_temperature
from mmhadaptive.models.backbones.hadaptive_net import ARCHITECTURES

from .search_train_loop import search_step

CONFIG = FOLDER / "configs/nas/hadaptive_gdas_ach_variants_cifar100.py"
# The first temperature of the paper; it has no influence on the cost.
TAU = 4.0
CLEAR = Path("/proc/self/clear_refs")


def copies(count: int) -> list[list]:
    """Hadaptive-Net-S with ``count`` candidates in each row from stage 2 on, all of them the row
    that it has; itself for 0.

    So whatever is drawn, the network is the same, and only the search is compared.
    """
    table = ARCHITECTURES["s"]
    if not count:
        return table
    return [
        rows if stage < 2 else [{f"copy {i}": row for i in range(count)} for row in rows]
        for stage, rows in enumerate(table)
    ]


class Training:
    """Training steps of Hadaptive-Net-S, or of a search with copies of it.

    Args:
        candidates: How many a row has; 0 for the network itself.
        size: Side of the image.
        batch_size: Images of a step.
        device: Where it runs.
    """

    def __init__(self, candidates: int, size: int, batch_size: int, device: str) -> None:
        cfg = Config.fromfile(CONFIG)
        cfg.model.backbone.arch = copies(candidates)
        cfg.model.backbone.type = "HadaptiveSupernet" if candidates else "HadaptiveNet"
        cfg.model.data_preprocessor = dict(cfg.data_preprocessor, size=size)
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope("mmpretrain"):
            model = MODELS.build(cfg.model).to(device)
            settings = cfg.optim_wrapper if candidates else cfg.optim_wrapper.weights
            self.wrappers = build_optim_wrapper(model, settings)
        # As ChannelsLastHook does.
        self.model = model.to(memory_format=torch.channels_last).train()
        wrapper = self.wrappers["weights"] if candidates else self.wrappers
        adapt_temperature(self.model, wrapper.optimizer)
        self.weights = [p for group in wrapper.param_groups for p in group["params"]]
        self.candidates = candidates
        self.batches = [
            dict(
                images=torch.randint(0, 256, (batch_size, 3, 32, 32), dtype=torch.uint8),
                labels=torch.randint(0, 100, (batch_size,)),
            )
            for _ in range(2)
        ]

    def step(self) -> None:
        """A step of the search, or two steps of the network."""
        with DefaultScope.overwrite_default_scope("mmpretrain"):
            if self.candidates:
                search_step(self.model, self.wrappers, tuple(self.batches), TAU, self.weights)
            else:
                for batch in self.batches:
                    self.model.train_step(batch, self.wrappers)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def seconds(self) -> float:
        """The time of :meth:`step`."""
        start = time.perf_counter()
        self.step()
        return time.perf_counter() - start


def search_costs(
    candidates: Sequence[int],
    size: int,
    batch_size: int,
    rounds: int,
    device: str,
    log: Callable[[str], None],
) -> list[dict]:
    """Time and memory of two steps of Hadaptive-Net-S, and of a search step with so many
    candidates.

    Args:
        candidates: Numbers of candidates.
        size: Side of the image.
        batch_size: Images of a step.
        rounds: Steps of each, in turns; the medians count.
        device: ``'cpu'`` or ``'cuda'``.
        log: Called with a line of progress.

    Returns:
        Rows of ``candidates`` (0: the network by itself), ``seconds``, and ``bytes``: the peak of
        what the training takes, in a process of its own, on a GPU of its memory.
    """
    subjects = [0, *candidates]
    trainings = {count: Training(count, size, batch_size, device) for count in subjects}
    times: dict[int, list[float]] = {count: [] for count in subjects}
    for number in range(rounds + 1):
        for count, training in trainings.items():
            seconds = training.seconds()
            if number:
                times[count].append(seconds)
        log(f"round {number} of {rounds}")
    del trainings
    rows = []
    for count in subjects:
        peak = peak_memory(count, size, batch_size, device)
        log(f"memory with {count} candidates: {peak / 2**20:.0f} MiB")
        rows.append(dict(candidates=count, seconds=statistics.median(times[count]), bytes=peak))
    return rows


def peak_memory(candidates: int, size: int, batch_size: int, device: str) -> int:
    """Bytes that three steps of :class:`Training` take at their peak, in a new process.

    Raises:
        OSError: This system does not tell a process's peak.
    """
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    threads = torch.get_num_threads()
    arguments = (queue, threads, candidates, size, batch_size, device)
    process = context.Process(target=_measure_memory, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise OSError("the process that measures memory has failed")
    return queue.get()


def _measure_memory(queue, threads: int, *arguments) -> None:
    torch.set_num_threads(threads)
    quiet_imports()
    # What is imported and started once is no part of it.
    Training(2, 32, 2, "cpu").step()
    before = _resident("VmRSS")
    # Linux forgets the peak so far.
    CLEAR.write_text("5")
    training = Training(*arguments)
    for _ in range(3):
        training.step()
    cuda = arguments[-1] == "cuda"
    queue.put(torch.cuda.max_memory_allocated() if cuda else _resident("VmHWM") - before)


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
