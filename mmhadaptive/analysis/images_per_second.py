"""How many images a second the data pipelines deliver and a training takes, and as a table.

The network and the pipeline ``in_memory`` are those of
``configs/classification/cifar100/hadaptive_s_cifar100.py``, the pipeline ``stock`` is that of its
``_stock.py``. All run on the GPU where there is one, in bfloat16, else on the CPU in float32.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.layers import adapt_temperature

from .tables import markdown_table

CONFIGS = {"stock": "hadaptive_s_cifar100_stock.py", "in_memory": "hadaptive_s_cifar100.py"}


def images_per_second(
    size: int, data_root: str, batch_size: int, workers: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Measure the pipelines, a training with each, and the training steps alone.

    All take turns within one run.

    Args:
        size: Side of the images, in pixels.
        data_root: Folder of CIFAR-100.
        batch_size: Images of a batch.
        workers: Processes of the stock loader.
        rounds: Of all turns; the median counts.
        seconds: Of one turn.

    Returns:
        ``{pipeline}_input``, until a batch is ready on the device, augmented and normalised;
        ``{pipeline}_training``, the whole training with that input; and ``network``, the steps on a
        batch that is there already. A training is bound by the network where the last two agree.
    """
    step = _build_step()
    inputs = {name: build_input(name, size, data_root, batch_size, workers) for name in CONFIGS}
    # A new iterator for each turn, so that nothing works ahead for it during the turns of others;
    # what its workers had ahead by the first batch is left out.
    warm_up = {"stock": 1 + 2 * workers, "in_memory": 2}
    rates = {}
    for _ in range(rounds):
        for name, parts in inputs.items():
            for what, use in (("input", lambda batch: None), ("training", step)):
                batches = batches_of(*parts)
                rate = batch_size * batches_per_second(batches, use, warm_up[name], seconds)
                rates.setdefault(f"{name}_{what}", []).append(rate)
                batches.close()
        ready = itertools.repeat(next(batches_of(*inputs["in_memory"])))
        rate = batch_size * batches_per_second(ready, step, 1, seconds)
        rates.setdefault("network", []).append(rate)
    return {name: round(statistics.median(values), 1) for name, values in rates.items()}


def _config(pipeline: str) -> Config:
    return Config.fromfile(FOLDER / "configs/classification/cifar100" / CONFIGS[pipeline])


def build_input(
    pipeline: str, size: int, data_root: str, batch_size: int, workers: int
) -> tuple[DataLoader, nn.Module]:
    """Loader and data preprocessor of ``'stock'`` or ``'in_memory'``."""
    cfg = _config(pipeline)
    loader, preprocessor = cfg.train_dataloader, cfg.data_preprocessor
    loader.batch_size = batch_size
    if pipeline == "stock":
        loader.num_workers = workers
        loader.dataset.data_root = data_root
        for transform in loader.dataset.pipeline:
            if transform.type == "Resize":
                transform.scale = size
    else:
        loader.dataset.dataset.data_root = data_root
        preprocessor.size = size
    preprocessor.setdefault("type", "ClsDataPreprocessor")
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        loader = Runner.build_dataloader(loader, seed=0)
        return loader, MODELS.build(preprocessor).to(get_device())


def batches_of(loader: DataLoader, preprocessor: nn.Module) -> Iterator[dict]:
    """Batches without an end, as the network takes them."""
    while True:
        for batch in loader:
            yield preprocessor(batch, training=True)


def _build_step() -> Callable[[dict], None]:
    """A function that trains the network on a batch."""
    cfg = _config("in_memory")
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg.model).to(get_device(), memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    adapt_temperature(model, optimizer)
    cuda = torch.cuda.is_available()

    def step(batch: dict) -> None:
        inputs = batch["inputs"].contiguous(memory_format=torch.channels_last)
        with torch.autocast(get_device(), torch.bfloat16, enabled=cuda):
            loss = model(inputs, batch["data_samples"], mode="loss")["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def batches_per_second(
    batches: Iterator, use: Callable[[object], None], warm_up: int, seconds: float
) -> float:
    """How fast ``use`` gets through ``batches``, of which the first ``warm_up`` do not count."""
    for batch in itertools.islice(batches, warm_up):
        use(batch)
    _synchronize()
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < seconds:
        use(next(batches))
        _synchronize()
        count += 1
    return count / (time.perf_counter() - start)


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def images_table(rows: list[dict]) -> str:
    """Entries of :func:`images_per_second`, each with its ``size``, in Markdown.

    The percentages are those of the network alone that the trainings reach.
    """
    lines = []
    for row in rows:
        network = row["network"]
        trainings = [row[f"{name}_training"] for name in CONFIGS]
        lines.append(
            [
                row["size"],
                *(f"{row[f'{name}_input']:,.0f}" for name in CONFIGS),
                *(f"{rate:,.0f} ({100 * rate / network:.0f} %)" for rate in trainings),
                f"{network:,.0f}",
            ]
        )
    headers = ["pixels", "input, stock", "in memory", "training, stock", "in memory"]
    return markdown_table([*headers, "network alone"], lines)
