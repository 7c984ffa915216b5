"""Measure how many images a second the stock pipeline and the in-memory one deliver.

    python tools/analysis/benchmark_data.py --out docs/results/data_pipeline.json

For images of 224 and of 32 pixels, three things are timed: until a batch is ready on the device of
the network, augmented and normalised (``input``); the whole training with that input
(``training``); and the training steps alone, on one batch that is there already (``network``). A
training is bound by the network where the last two agree. All take turns within one run; the
figures are medians of the rounds. The network and the input from memory are those of
``configs/classification/cifar100/hadaptive_s_cifar100.py``, the stock pipeline is that of its
``_stock.py``; precision is bfloat16 on a GPU, float32 on a CPU.
"""

import argparse
import itertools
import os
import statistics
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from mmhadaptive.analysis.images_per_second import images_table
from mmhadaptive.io.record import write_record
from mmhadaptive.layers import adapt_temperature

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "classification" / "cifar100"
NAMES = {"stock": "hadaptive_s_cifar100_stock.py", "in_memory": "hadaptive_s_cifar100.py"}
SIZES = (224, 32)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", default="data/cifar100", help="CIFAR-100 (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--batch-size", type=int, default=64, help="images (%(default)s)")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(8, len(os.sched_getaffinity(0))),
        help="processes of the stock loader: 8 or as many as there are cores (%(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of all turns (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="of one turn (%(default)s)")
    return parser.parse_args()


def make_input(name, size, args):
    """Loader and data preprocessor of a pipeline."""
    cfg = Config.fromfile(CONFIGS / NAMES[name])
    loader, preprocessor = cfg.train_dataloader, cfg.data_preprocessor
    loader.batch_size = args.batch_size
    if name == "stock":
        loader.num_workers = args.workers
        loader.dataset.data_root = args.data_root
        for transform in loader.dataset.pipeline:
            if transform.type == "Resize":
                transform.scale = size
    else:
        loader.dataset.dataset.data_root = args.data_root
        preprocessor.size = size
    loader = Runner.build_dataloader(loader, seed=0)
    preprocessor.setdefault("type", "ClsDataPreprocessor")
    return loader, MODELS.build(preprocessor).to(get_device())


def make_step():
    """A function that trains the network on a batch."""
    cfg = Config.fromfile(CONFIGS / NAMES["in_memory"])
    model = MODELS.build(cfg.model).to(get_device(), memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    adapt_temperature(model, optimizer)
    cuda = torch.cuda.is_available()

    def step(batch):
        inputs = batch["inputs"].contiguous(memory_format=torch.channels_last)
        with torch.autocast(get_device(), torch.bfloat16, enabled=cuda):
            loss = model(inputs, batch["data_samples"], mode="loss")["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def batches_of(loader, preprocessor):
    while True:
        for batch in loader:
            yield preprocessor(batch, training=True)


def measure(batches, use, args, warm_up):
    """Images a second."""
    for batch in itertools.islice(batches, warm_up):
        use(batch)
    synchronize()
    start = time.perf_counter()
    images = 0
    while time.perf_counter() - start < args.seconds:
        use(next(batches))
        synchronize()
        images += args.batch_size
    return images / (time.perf_counter() - start)


def synchronize():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def take_turns(size, args):
    step = make_step()
    inputs = {name: make_input(name, size, args) for name in NAMES}
    # A new iterator for each turn, so that nothing works ahead for it during the turns of others;
    # what its workers had ahead by the first batch is left out.
    warm_up = {"stock": 1 + 2 * args.workers, "in_memory": 2}
    rates = {}
    for _ in range(args.rounds):
        for name, (loader, preprocessor) in inputs.items():
            for what, use in (("input", lambda batch: None), ("training", step)):
                batches = batches_of(loader, preprocessor)
                rate = measure(batches, use, args, warm_up[name])
                rates.setdefault(f"{name}_{what}", []).append(rate)
                batches.close()
        ready = next(batches_of(*inputs["in_memory"]))
        rates.setdefault("network", []).append(measure(itertools.repeat(ready), step, args, 1))
    return {name: round(statistics.median(values), 1) for name, values in rates.items()}


def main():
    args = parse_args()
    init_default_scope("mmpretrain")
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    rows = []
    for size in SIZES:
        logger.info(f"{size} x {size}")
        rows.append(dict(size=size, **take_turns(size, args)))
    write_record(
        args.out,
        images_per_second=rows,
        batch_size=args.batch_size,
        stock_workers=args.workers,
        rounds=args.rounds,
        seconds=args.seconds,
    )
    print(images_table(rows), end="")


if __name__ == "__main__":
    main()
