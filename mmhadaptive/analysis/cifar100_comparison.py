"""Networks trained alike on CIFAR-100 at 64x64, and how their accuracies differ, beside how the
paper's do."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.published import published_figures

from .complexity import config_complexity
from .input_size import input_size
from .runs import Run, finished
from .tables import markdown_table
from .training import read_curves

TOP1 = "Top 1 Accuracy"


@dataclass(frozen=True)
class Network:
    """What is trained.

    Args:
        config: Below ``configs``, without its ending.
        title: In tables.
        against: The config, by its name, from whose accuracy the difference is of interest.
        paper: Names of the configs of which the paper prints the same difference.
        all_seeds: Whether it is trained with every seed, or with the first alone.
        batch_size: Another than the config's; the learning rate is scaled to it, as by
            ``tools/train.py --auto-scale-lr``.
    """

    config: str
    title: str
    against: str | None = None
    paper: tuple[str, str] | None = None
    all_seeds: bool = False
    batch_size: int | None = None

    @property
    def name(self) -> str:
        ending = f"_batch{self.batch_size}" if self.batch_size else ""
        return Path(self.config).name + ending

    @property
    def settings(self) -> tuple[str, ...]:
        """``--cfg-options`` of its training."""
        if self.batch_size is None:
            return ()
        return f"train_dataloader.batch_size={self.batch_size}", "auto_scale_lr.enable=True"

    @property
    def path(self) -> Path:
        return FOLDER / "configs" / f"{self.config}.py"


_S, _SHORT = "hadaptive_s_cifar100_64px", "hadaptive_s_cifar100_64px_10e"
_V3, _V3_ACH = "mobilenetv3_small_cifar100", "mobilenetv3_small_ach_9_10_cifar100"
_FOLDER = "classification/cifar100_64px"


def _ablation(name: str, title: str) -> Network:
    return Network(
        f"classification/ablations_64px/{_SHORT}_{name}",
        title,
        _SHORT,
        (f"hadaptive_s_cifar100_{name}", "hadaptive_s_cifar100_dysoft"),
    )


#: Of 20 epochs, in their order.
NETWORKS = [
    Network(f"{_FOLDER}/{_S}", "Hadaptive-Net-S", all_seeds=True),
    Network(f"{_FOLDER}/{_S}_ghost", "its twin, Ghost for its products", _S, all_seeds=True),
    Network(f"{_FOLDER}/{_V3}_64px", "MobileNetV3-S", _S, (_V3, "hadaptive_s_cifar100")),
    Network(
        f"replacement/cifar100_64px/{_V3_ACH}_64px",
        "with ACH for blocks 9 and 10",
        f"{_V3}_64px",
        (_V3_ACH, _V3_ACH),
    ),
]
#: Table 1 and Fig. 3, of 10 epochs.
ABLATIONS = [
    Network(f"classification/ablations_64px/{_SHORT}", "Hadaptive-Net-S"),
    _ablation("no_pointwise", "no 1x1 convolution"),
    _ablation("static_scores", "learnt scores for those of the input"),
    _ablation("fixed_channels", "fixed channels"),
    _ablation("bn", "BatchNorm for DySoft"),
    _ablation("dysig", "DySig for DySoft"),
    _ablation("dyalge", "DyAlge for DySoft"),
]
#: Of the same 10 epochs.
BATCHES = [
    Network(ABLATIONS[0].config, "batches of 64"),
    Network(ABLATIONS[0].config, "batches of 128, twice the learning rate", batch_size=128),
    Network(ABLATIONS[0].config, "batches of 256, four times the learning rate", batch_size=256),
    Network(ABLATIONS[0].config, "batches of 512, eight times the learning rate", batch_size=512),
]


def runs_of(
    results: Path, data: Path, seeds: Sequence[int], options: Sequence[str]
) -> Iterator[Run]:
    """The trainings, in their order; work dirs are ``seed0/CONFIG``.

    Args:
        results: Folder of the runs.
        data: Folder of ``train.npz`` and ``test.npz``.
        seeds: Of the networks that are trained with all; the others have the first.
        options: ``--cfg-options`` for all runs.
    """
    of_seeds = [(seed, net) for seed in seeds for net in NETWORKS if net.all_seeds]
    # The first of BATCHES is that of ABLATIONS.
    once = [net for net in (*NETWORKS, *ABLATIONS, *BATCHES[1:]) if not net.all_seeds]
    of_one = [(seeds[0], net) for net in once]
    for seed, network in (*of_seeds, *of_one):
        roots = [f"{each}_dataloader.dataset.dataset.data_root={data}" for each in ("train", "val")]
        yield Run(
            f"seed {seed}: {network.name}",
            network.path,
            results / f"seed{seed}" / network.name,
            (f"randomness.seed={seed}", *roots, *network.settings, *options),
        )


def _images_a_second(work_dir: Path, batch_size: int) -> float:
    """Of the training, by the median of the logged times of its steps."""
    lines = [
        json.loads(line)
        for path in work_dir.glob("*/vis_data/scalars.json")
        for line in path.read_text().splitlines()
    ]
    return batch_size / statistics.median(line["time"] for line in lines if "loss" in line)


def collect(runs: Sequence[Run]) -> list[dict]:
    """What the trainings have left, an entry a finished run.

    It has ``config`` (:attr:`Network.name`), ``seed``, ``parameters``, ``macs``,
    ``images_a_second`` of the training, ``top1`` and ``top5`` of the last epoch, in per cent, and
    ``curve``: of every epoch its number, mean loss, and top-1 or None. ``pieces`` are the records
    of ``tools/train.py``.
    """
    entries = []
    for run in runs:
        if not finished(run):
            continue
        cfg = Config.fromfile(run.config)
        counts = config_complexity(cfg, input_size(cfg))
        trained = Config.fromfile(run.work_dir / run.config.name, import_custom_modules=False)
        curves, pieces = read_curves(run.work_dir)
        fives, _ = read_curves(run.work_dir, "accuracy/top5")
        last = max(curves)
        entries.append(
            dict(
                config=run.work_dir.name,
                seed=int(run.work_dir.parent.name.removeprefix("seed")),
                parameters=counts["parameters"],
                macs=counts["macs"],
                images_a_second=_images_a_second(run.work_dir, trained.train_dataloader.batch_size),
                top1=round(curves[last][1], 2),
                top5=round(fives[last][1], 2),
                curve=[[epoch, round(loss, 4), top1] for epoch, (loss, top1) in curves.items()],
                pieces=pieces,
            )
        )
    return entries


def curves_by_network(record: dict, networks: Sequence[Network]) -> dict[str, list[list]]:
    """The curves of the record's ``runs`` by the title of the network, a list of seeds each."""
    return {
        network.title: found
        for network in networks
        if (found := [run["curve"] for run in record["runs"] if run["config"] == network.name])
    }


def _paper_difference(network: Network) -> str:
    """In percentage points, of CIFAR-100; a dash where the paper has none."""
    if network.paper is None:
        return "-"
    # A pair of one config is that of its replaced and its original network.
    replaced = network.paper[0] == network.paper[1]
    found = []
    for name, original in zip(network.paper, (False, replaced), strict=True):
        figures = [
            figure.metrics[TOP1]
            for figure in published_figures()
            if figure.name == name and figure.original == original and TOP1 in figure.metrics
        ]
        found.append(figures[0])
    return f"{found[0] - found[1]:+.2f}"


def _accuracy(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def accuracies_table(record: dict, networks: Sequence[Network] = NETWORKS) -> str:
    """The ``runs`` of the record in Markdown, a row a network; a dash where one is not trained.

    ± is the standard deviation over the seeds. Differences are of the seeds that both have.
    """
    top1 = {(run["config"], run["seed"]): run["top1"] for run in record["runs"]}
    rows = []
    for network in networks:
        runs = [run for run in record["runs"] if run["config"] == network.name]
        pairs = [
            run["top1"] - top1[network.against, run["seed"]]
            for run in runs
            if (network.against, run["seed"]) in top1
        ]
        if not runs:
            cells = ["-"] * 6
        else:
            cells = [
                f"{runs[0]['parameters'] / 1e6:.3f}",
                f"{runs[0]['macs'] / 1e6:.2f}",
                f"{statistics.median(run['images_a_second'] for run in runs):.0f}",
                _accuracy([run["top1"] for run in runs]),
                f"{statistics.mean(run['top5'] for run in runs):.2f}",
                len(runs),
            ]
        difference = f"{statistics.mean(pairs):+.2f}" if pairs else "-"
        rows.append([network.title, *cells, difference, _paper_difference(network)])
    headers = ["network", "parameters, M", "MACs, M", "images a second", "top-1, %", "top-5, %"]
    return markdown_table([*headers, "seeds", "difference", "the paper's"], rows)


def ablations_table(record: dict) -> str:
    """:func:`accuracies_table` of the ablations."""
    return accuracies_table(record, ABLATIONS)


def batches_table(record: dict) -> str:
    """The sizes of the batch in Markdown: speed and accuracy, beside those of the first."""
    runs = {run["config"]: run for run in record["runs"]}
    found = [runs.get(network.name) for network in BATCHES]
    rows = []
    for network, run in zip(BATCHES, found, strict=True):
        cells = ["-"] * 4
        if run and found[0]:
            cells = [
                f"{run['images_a_second']:.0f}",
                f"{run['top1']:.2f}",
                f"{run['top5']:.2f}",
                "-" if run is found[0] else f"{run['top1'] - found[0]['top1']:+.2f}",
            ]
        rows.append([network.title, *cells])
    headers = ["Hadaptive-Net-S", "images a second", "top-1, %", "top-5, %", "difference"]
    return markdown_table(headers, rows)
