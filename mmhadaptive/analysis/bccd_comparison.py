"""Detectors on BCCD under one budget: trained with several seeds, tested, counted and timed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmhadaptive.io.model_index import FOLDER

from .complexity import TensorMode, network_complexity
from .input_size import input_size
from .runs import keep_settings, run_tool
from .tables import markdown_table
from .timers import median_times
from .training import read_curves

#: By config, what a row of the table says.
DETECTORS = {
    "ssd_hadaptive_s_bccd": "SSD, Hadaptive-Net-S",
    "ssd_hadaptive_m_bccd": "SSD, Hadaptive-Net-M",
    "ssdlite_mobilenetv2_bccd": "SSDLite, MobileNetV2",
    "rtmdet_hadaptive_s_cspnext_bccd": "RTMDet's head, Hadaptive-Net-S, CSPNeXtPAFPN",
    "rtmdet_hadaptive_s_bccd": "RTMDet's head, Hadaptive-Net-S, ACHPAFPN",
}
# By the name in a record, the heading; the values are shown in per cent.
METRICS = {"coco/bbox_mAP": "AP", "coco/bbox_mAP_50": "AP50", "coco/bbox_mIoU": "mIoU"}
# Of a test without any detection, for which COCO's evaluation gives none.
WITHOUT_DETECTIONS = {"coco/bbox_mAP": 0.0, "coco/bbox_mAP_50": 0.0}


def config_path(name: str) -> Path:
    """The file of a config of :data:`DETECTORS`."""
    return FOLDER / "configs" / "detection" / f"{name}.py"


def train_detectors(
    work_dir: Path,
    seeds: Sequence[int],
    options: Sequence[str],
    report: Callable[[str], None] = lambda line: None,
) -> list[dict]:
    """Train and test every detector with every seed, but for what is finished already.

    Each run has a folder ``CONFIG_SEED`` in ``work_dir``. A run that was interrupted continues from
    its last checkpoint; one that was tested is not repeated. Every detector has run with one seed
    before the next seed begins.

    Args:
        work_dir: Folder of the runs.
        seeds: Of weights, orders and augmentations.
        options: ``KEY=VALUE``, the ``--cfg-options`` of ``tools/train.py`` and ``tools/test.py``.
        report: Is called with a line about each run, before it begins.

    Returns:
        An entry a run: ``config``, ``seed``, ``metrics`` on the test set, and ``curve``: of every
        epoch its number, mean loss, and AP on the validation set or None.

    Raises:
        UserError: The work dir has runs with other options, or a tool failed.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    keep_settings(work_dir, options)
    runs = [(seed, name) for seed in seeds for name in DETECTORS]
    entries = []
    for number, (seed, name) in enumerate(runs, 1):
        folder = work_dir / f"{name}_{seed}"
        tested = folder / "test.json"
        done = "tested already" if tested.exists() else "training"
        report(f"run {number} of {len(runs)}: {name}, seed {seed}: {done}")
        if not tested.exists():
            settings = ("--cfg-options", f"randomness.seed={seed}", *options)
            config = config_path(name)
            run_tool("train.py", config, "--resume", "--work-dir", folder, *settings)
            # mmengine's file with the path of the last checkpoint; a folder may have moved.
            last = folder / Path((folder / "last_checkpoint").read_text().strip()).name
            arguments = ("--work-dir", folder / "test", "--record", tested, *settings)
            run_tool("test.py", config, last, *arguments)
        curves, _ = read_curves(folder, "coco/bbox_mAP")
        curve = [[epoch, round(loss, 4), ap] for epoch, (loss, ap) in curves.items()]
        entries.append(dict(config=name, seed=seed, metrics=load(tested)["metrics"], curve=curve))
    return entries


def curves_by_detector(record: dict) -> dict[str, list[list]]:
    """The curves of the record's ``runs`` by the name of the detector, a list of seeds each."""
    found = {}
    for run in record["runs"]:
        found.setdefault(DETECTORS[run["config"]], []).append(run["curve"])
    return found


def _build(name: str) -> tuple[nn.Module, tuple[int, int]]:
    """The detector of a config in evaluation mode, and the size that it tests at."""
    cfg = Config.fromfile(config_path(name))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval(), input_size(cfg)


def measure_detectors(rounds: int) -> list[dict]:
    """Count the detectors, and time their networks in turns for one picture.

    The time is that of backbone, neck and head in channels_last, as ``ChannelsLastHook`` lets them
    run, without preprocessing and without the suppression of boxes.

    Args:
        rounds: How often each is timed; the median counts.

    Returns:
        An entry a detector: ``config``, ``parameters``, ``macs`` and ``seconds``, those on a GPU
        where there is one.
    """
    entries, networks = [], {}
    form = dict(
        device="cuda" if torch.cuda.is_available() else "cpu", memory_format=torch.channels_last
    )
    for name in DETECTORS:
        model, size = _build(name)
        counts = network_complexity(model, size)
        entries.append(dict(config=name, parameters=counts["parameters"], macs=counts["macs"]))
        network = TensorMode(model.to(**form), size)
        image = torch.rand(1, 3, *size).to(**form)
        networks[name] = lambda network=network, image=image: network(image)
    with torch.no_grad():
        seconds = median_times(networks, rounds)
    return [dict(entry, seconds=seconds[entry["config"]]) for entry in entries]


def _spread(values: list[float | None]) -> str:
    """Mean and standard deviation in per cent; a dash where a value is missing or is COCO's -1."""
    if not values or any(value is None or value < 0 for value in values):
        return "-"
    text = f"{100 * statistics.mean(values):.1f}"
    return f"{text} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else text


def comparison_table(record: dict) -> str:
    """The ``runs`` and ``detectors`` of the comparison's record in Markdown, a row a detector.

    ± is the standard deviation over the seeds.
    """
    rows = []
    for entry in record["detectors"]:
        runs = [
            WITHOUT_DETECTIONS | run["metrics"]
            for run in record["runs"]
            if run["config"] == entry["config"]
        ]
        rows.append(
            [
                DETECTORS[entry["config"]],
                *(_spread([run.get(key) for run in runs]) for key in METRICS),
                f"{entry['parameters'] / 1e6:.2f}",
                f"{entry['macs'] / 1e6:.0f}",
                f"{1000 * entry['seconds']:.1f}",
            ]
        )
    headers = ["detector", *METRICS.values(), "parameters, M", "MACs, M", "latency, ms"]
    return markdown_table(headers, rows)
