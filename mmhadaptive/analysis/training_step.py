"""A detector's whole training step, input and network, taken apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch.profiler import ProfilerActivity, profile

from mmhadaptive.io.published import FOLDER
from mmhadaptive.layers import adapt_temperature

from .depthwise_benchmarks import with_plain_convolutions
from .tables import markdown_table

CONFIG = FOLDER / "configs/detection/ssd_hadaptive_s_coco.py"
PEER = "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py"
PHASES = ("input", "forward", "backward", "optimizer")
#: By name, what a row of the table says.
DETECTORS = {
    "ours": "SSD Hadaptive-Net-S",
    "stock": "the same with mmdet's crop and losses and torch's depthwise convolutions",
    "peer": "mmdet's SSDLite MobileNetV2, its pipeline",
}


def with_data(cfg: Config, folder: str, batch_size: int) -> Config:
    """Let a COCO config train on ``folder``, which holds ``train2017`` and its annotations."""
    dataset = cfg.train_dataloader.dataset
    dataset = dataset.get("dataset", dataset)
    dataset.update(
        data_root=folder,
        ann_file="instances_train2017.json",
        data_prefix=dict(img="train2017/"),
    )
    cfg.train_dataloader.update(
        batch_size=batch_size, num_workers=0, persistent_workers=False, batch_sampler=None
    )
    return cfg


def configs(folder: str, batch_size: int) -> dict[str, Config]:
    """The detectors of :data:`DETECTORS` on the same images."""
    ours, stock = (Config.fromfile(CONFIG) for _ in range(2))
    for transform in stock.train_dataloader.dataset.pipeline:
        if transform.type == "BatchedMinIoURandomCrop":
            transform.type = "MinIoURandomCrop"
    import mmdet

    peer = Config.fromfile(Path(mmdet.__file__).parent / ".mim" / "configs" / PEER)
    return {
        name: with_data(cfg, folder, batch_size)
        for name, cfg in dict(ours=ours, stock=stock, peer=peer).items()
    }


class Training:
    """Steps of a config's training, each timed by its phases.

    Args:
        cfg: The config.
        stock: Whether losses are taken image by image and depthwise convolutions are torch's.
    """

    def __init__(self, cfg: Config, stock: bool = False) -> None:
        with DefaultScope.overwrite_default_scope("mmdet"):
            torch.manual_seed(0)
            model = MODELS.build(cfg.model)
            if stock:
                model = with_plain_convolutions(model)
                model.bbox_head.batched = False
            # As ChannelsLastHook does; the peer is given the same.
            self.model = model.to(memory_format=torch.channels_last).train()
            self.loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
            self.optim_wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
        adapt_temperature(self.model, self.optim_wrapper.optimizer)
        self.batches = self._batches()

    def _batches(self) -> Iterator[dict]:
        while True:
            yield from self.loader

    def step(self) -> dict[str, float]:
        """The seconds of each phase of a step."""
        marks = [time.perf_counter()]
        with DefaultScope.overwrite_default_scope("mmdet"):
            data = self.model.data_preprocessor(next(self.batches), training=True)
        data["inputs"] = data["inputs"].contiguous(memory_format=torch.channels_last)
        marks.append(time.perf_counter())
        losses = self.model(**data, mode="loss")
        loss, _ = self.model.parse_losses(losses)
        marks.append(time.perf_counter())
        self.optim_wrapper.backward(loss)
        marks.append(time.perf_counter())
        self.optim_wrapper.step()
        self.optim_wrapper.zero_grad()
        marks.append(time.perf_counter())
        return {
            name: end - begin
            for name, begin, end in zip(PHASES, marks[:-1], marks[1:], strict=True)
        }

    def operators(self, steps: int, count: int = 8) -> dict[str, float]:
        """The part of a step's time in the network that each of the ``count`` costliest operators
        takes by itself."""
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(steps):
                self.step()
        events = [event for event in profiler.key_averages() if event.self_cpu_time_total]
        total = sum(event.self_cpu_time_total for event in events)
        events.sort(key=lambda event: -event.self_cpu_time_total)
        return {event.key: event.self_cpu_time_total / total for event in events[:count]}


def training_steps(
    folder: str, batch_size: int, rounds: int, log: Callable[[str], None]
) -> list[dict]:
    """Time the detectors in turns, a step each.

    Args:
        folder: Of COCO images, see :func:`with_data`.
        batch_size: Images of a step.
        rounds: Steps of each; the medians count.
        log: Called with a line of progress.

    Returns:
        For each detector, its name, images per second, the seconds of each phase, and its
        costliest operators.
    """
    trainings = {
        name: Training(cfg, stock=name == "stock")
        for name, cfg in configs(folder, batch_size).items()
    }
    for training in trainings.values():
        training.step()
    times = {name: [] for name in trainings}
    for number in range(rounds):
        for name, training in trainings.items():
            times[name].append(training.step())
        log(f"round {number + 1} of {rounds}")
    rows = []
    for name, training in trainings.items():
        phases = {phase: statistics.median(t[phase] for t in times[name]) for phase in PHASES}
        total = statistics.median(sum(t.values()) for t in times[name])
        rows.append(
            dict(
                detector=name,
                images_per_second=batch_size / total,
                seconds=phases,
                operators=training.operators(3),
            )
        )
    return rows


def training_table(rows: list[dict]) -> str:
    """Images a second, the ratio to the first row's, and milliseconds by phase."""
    first = rows[0]["images_per_second"]
    header = ["detector", "images / s", "ours is", *(f"{phase}, ms" for phase in PHASES)]
    return markdown_table(
        header,
        [
            [
                DETECTORS[row["detector"]],
                f"{row['images_per_second']:.1f}",
                f"{first / row['images_per_second']:.2f}x",
                *(f"{1000 * row['seconds'][phase]:.0f}" for phase in PHASES),
            ]
            for row in rows
        ],
    )


def operators_table(rows: list[dict]) -> str:
    """The costliest operators of the first two detectors, in percent of a step."""
    shares = [row["operators"] for row in rows[:2]]
    names = dict.fromkeys(name for share in shares for name in share)
    return markdown_table(
        ["operator, by itself", *(DETECTORS[row["detector"]] for row in rows[:2])],
        [
            [
                f"`{name}`",
                *(f"{100 * share[name]:.0f} %" if name in share else "-" for share in shares),
            ]
            for name in names
        ],
    )
