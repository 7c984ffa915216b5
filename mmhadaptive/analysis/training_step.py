"""A whole training step, input and network, taken apart."""

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

from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.layers import adapt_temperature

from .depthwise_benchmarks import with_plain_convolutions
from .tables import markdown_table

DETECTOR = FOLDER / "configs/detection/ssd_hadaptive_s_coco.py"
CLASSIFIER = FOLDER / "configs/classification/cifar100_64px/hadaptive_s_cifar100_64px.py"
STOCK_CLASSIFIER = FOLDER / "configs/classification/cifar100/hadaptive_s_cifar100_stock.py"
PEER = "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py"
PHASES = ("input", "forward", "backward", "optimizer")
#: By task, what the rows of its table say, by name.
TITLES = {
    "detection": {
        "ours": "SSD Hadaptive-Net-S",
        "stock": "the same with mmdet's crop and losses and torch's depthwise convolutions",
        "peer": "mmdet's SSDLite MobileNetV2, its pipeline",
    },
    "classification": {
        "ours": "Hadaptive-Net-S",
        "stock": "the same with mmpretrain's pipeline and torch's depthwise convolutions, NCHW",
    },
}


def _with_coco(cfg: Config, folder: str) -> Config:
    dataset = cfg.train_dataloader.dataset
    dataset = dataset.get("dataset", dataset)
    dataset.update(
        data_root=folder,
        ann_file="instances_train2017.json",
        data_prefix=dict(img="train2017/"),
    )
    return cfg


def _detectors(folder: str) -> dict[str, Config]:
    ours, stock = (Config.fromfile(DETECTOR) for _ in range(2))
    for transform in stock.train_dataloader.dataset.pipeline:
        if transform.type == "BatchedMinIoURandomCrop":
            transform.type = "MinIoURandomCrop"
    import mmdet

    peer = Config.fromfile(Path(mmdet.__file__).parent / ".mim" / "configs" / PEER)
    return {
        name: _with_coco(cfg, folder)
        for name, cfg in dict(ours=ours, stock=stock, peer=peer).items()
    }


def _classifiers(folder: str) -> dict[str, Config]:
    ours, stock = Config.fromfile(CLASSIFIER), Config.fromfile(STOCK_CLASSIFIER)
    ours.train_dataloader.dataset.dataset.data_root = folder
    stock.train_dataloader.dataset.data_root = folder
    for transform in stock.train_dataloader.dataset.pipeline:
        if transform.type == "Resize":
            transform.scale = ours.data_preprocessor.size
    return dict(ours=ours, stock=stock)


def configs(task: str, folder: str, batch_size: int) -> dict[str, Config]:
    """What :data:`TITLES` names, on the same images.

    Args:
        task: ``detection`` or ``classification``.
        folder: With ``train2017`` and ``instances_train2017.json`` of COCO, or CIFAR-100.
        batch_size: Images of a step, which the training's process loads itself.
    """
    found = dict(detection=_detectors, classification=_classifiers)[task](folder)
    for cfg in found.values():
        cfg.train_dataloader.update(
            batch_size=batch_size, num_workers=0, persistent_workers=False, batch_sampler=None
        )
    return found


class Training:
    """Steps of a config's training, each timed by its phases.

    Args:
        cfg: The config.
        stock: Whether a detector's losses are taken image by image, a classifier's tensors are
            NCHW, and depthwise convolutions are torch's.
    """

    def __init__(self, cfg: Config, stock: bool = False) -> None:
        self.scope = cfg.default_scope
        classifier = self.scope == "mmpretrain"
        # As ChannelsLastHook does; the peer is given the same.
        self.format = torch.contiguous_format if stock and classifier else torch.channels_last
        with DefaultScope.overwrite_default_scope(self.scope):
            torch.manual_seed(0)
            # As mmengine's Runner does.
            preprocessor = cfg.model.get("data_preprocessor", cfg.get("data_preprocessor"))
            model = MODELS.build({**cfg.model, "data_preprocessor": preprocessor})
            if stock:
                model = with_plain_convolutions(model)
            if stock and not classifier:
                model.bbox_head.batched = False
            self.model = model.to(memory_format=self.format).train()
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
        with DefaultScope.overwrite_default_scope(self.scope):
            data = self.model.data_preprocessor(next(self.batches), training=True)
        data["inputs"] = data["inputs"].contiguous(memory_format=self.format)
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
    task: str, folder: str, batch_size: int, rounds: int, log: Callable[[str], None]
) -> list[dict]:
    """Time what :data:`TITLES` names in turns, a step each.

    Args:
        task: ``detection`` or ``classification``.
        folder: Of its images, see :func:`configs`.
        batch_size: Images of a step.
        rounds: Steps of each; the medians count.
        log: Called with a line of progress.

    Returns:
        For each row of the table, its ``name``, images per second, the seconds of each phase, and
        its costliest operators.
    """
    trainings = {
        name: Training(cfg, stock=name == "stock")
        for name, cfg in configs(task, folder, batch_size).items()
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
                name=name,
                images_per_second=batch_size / total,
                seconds=phases,
                operators=training.operators(3),
            )
        )
    return rows


def training_table(record: dict) -> str:
    """Images a second, the ratio to the first row's, and milliseconds by phase."""
    task, rows = record["task"], record["rows"]
    first = rows[0]["images_per_second"]
    header = ["network", "images / s", "ours is", *(f"{phase}, ms" for phase in PHASES)]
    return markdown_table(
        header,
        [
            [
                TITLES[task][row["name"]],
                f"{row['images_per_second']:.1f}",
                f"{first / row['images_per_second']:.2f}x",
                *(f"{1000 * row['seconds'][phase]:.0f}" for phase in PHASES),
            ]
            for row in rows
        ],
    )


def operators_table(record: dict) -> str:
    """The costliest operators of the first two rows, in percent of a step."""
    rows = record["rows"][:2]
    shares = [row["operators"] for row in rows]
    names = dict.fromkeys(name for share in shares for name in share)
    return markdown_table(
        ["operator, by itself", *(TITLES[record["task"]][row["name"]] for row in rows)],
        [
            [
                f"`{name}`",
                *(f"{100 * share[name]:.0f} %" if name in share else "-" for share in shares),
            ]
            for name in names
        ],
    )
