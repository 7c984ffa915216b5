"""Train networks on a part of CIFAR-100 at 32x32, original beside replaced, on any device.

The configs are those of configs/replacement. For each of them and each seed the network is built
and initialised, trained as it is, then built and initialised again with the same seed, its blocks
replaced, and trained on the same batches in the same order. A run that the result file has already
is not repeated, so the command can be stopped and started again.
"""

import argparse
import csv
import io
import time
from pathlib import Path
from statistics import mean, stdev

import mmengine
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn

from mmhadaptive.datasets.cifar100_files import balanced_subset, read_cifar100
from mmhadaptive.io.record import write_record
from mmhadaptive.io.whole import write_file
from mmhadaptive.layers import adapt_temperature
from mmhadaptive.models import replace_blocks

ROOT = Path(__file__).resolve().parents[2]
TABLE_5 = [
    "mobilenetv3_small_ach_9_10_cifar100",
    "mobilenetv4_conv_small_ach_cifar100",
    "shufflenetv2_1x_ach_cifar100",
    "starnet_s1_ach_cifar100",
]
VARIANTS = ("original", "replaced")


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with train.npz and test.npz")
    parser.add_argument("--out", type=Path, required=True, help="result file, .json; a .csv beside")
    parser.add_argument(
        "--configs", nargs="+", default=TABLE_5, help="names in configs/replacement"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fraction", type=float, default=0.1, help="of every class, for training")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--stem-stride", type=int, default=2, help="of the first convolution, for both variants"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def build(cfg, variant, stem_stride):
    """The network of a config of configs/replacement, and its number of parameters."""
    model_cfg = dict(cfg.model.model, data_preprocessor=cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(model_cfg)
        # It lists every parameter.
        logger = MMLogger.get_current_instance()
        logger.setLevel("WARNING")
        model.init_weights()
        logger.setLevel("INFO")
        stem = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        stem.stride = (stem_stride, stem_stride)
        if variant == "replaced":
            replace_blocks(model, cfg.model.replace, (torch.zeros(1, 3, 32, 32),))
    return model, sum(parameter.numel() for parameter in model.parameters())


def logits(model, images):
    output = model(images)
    return output[0] if isinstance(output, tuple) else output


def augment(images, generator):
    """A crop after a padding of 4, and a flip, drawn for every image."""
    count, _, height, width = images.shape
    padded = nn.functional.pad(images, (4, 4, 4, 4))
    shifts = torch.randint(9, (2, count, 1), generator=generator)
    flips = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.arange(width).expand(count, -1)
    columns = torch.where(flips, columns.flip(1), columns) + shifts[1]
    rows = torch.arange(height) + shifts[0]
    numbers = torch.arange(count)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[numbers, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def train(model, images, labels, cfg, args, seed, name):
    """Train in place; the mean loss of every epoch."""
    steps = len(images) // args.batch_size
    if steps == 0:
        raise ValueError(f"{len(images)} images are fewer than a batch of {args.batch_size}")
    optimizer_cfg = dict(cfg.optim_wrapper.optimizer)
    optimizer = getattr(torch.optim, optimizer_cfg.pop("type"))(model.parameters(), **optimizer_cfg)
    adapt_temperature(model, optimizer)
    warmup = max(1, round(0.05 * args.epochs * steps))
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.001, total_iters=warmup),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * steps - warmup),
        ],
        [warmup],
    )
    generator = torch.Generator().manual_seed(seed)
    logger = MMLogger.get_current_instance()
    losses = []
    for epoch in range(args.epochs):
        start, total = time.perf_counter(), 0.0
        model.train()
        order = torch.randperm(len(images), generator=generator)
        for batch in order[: steps * args.batch_size].split(args.batch_size):
            x = augment(images[batch], generator).to(args.device)
            loss = nn.functional.cross_entropy(
                logits(model, x), labels[batch].to(args.device), label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        losses.append(total / steps)
        if not total < float("inf"):
            raise FloatingPointError(f"{name}: the loss of epoch {epoch + 1} is {losses[-1]}")
        seconds = time.perf_counter() - start
        logger.info(
            f"{name}: epoch {epoch + 1}/{args.epochs}, loss {losses[-1]:.4f}, {seconds:.0f} s"
        )
    return losses


@torch.no_grad()
def accuracy(model, images, labels, device):
    """Top-1 and top-5 in per cent."""
    model.eval()
    found = []
    for x, y in zip(images.split(250), labels.split(250), strict=True):
        best = logits(model, x.to(device)).topk(5).indices.cpu()
        found.append(best == y[:, None])
    found = torch.cat(found).float()
    return 100 * found[:, 0].mean().item(), 100 * found.sum(1).mean().item()


def write(path, settings, runs):
    """The runs, their summary, and every epoch as a CSV file."""
    summary = []
    for config in dict.fromkeys(run["config"] for run in runs):
        for variant in VARIANTS:
            chosen = [r for r in runs if (r["config"], r["variant"]) == (config, variant)]
            if not chosen:
                continue
            top1 = [run["top1"] for run in chosen]
            summary.append(
                dict(
                    config=config,
                    variant=variant,
                    parameters=chosen[0]["parameters"],
                    seeds=len(chosen),
                    top1_mean=round(mean(top1), 2),
                    top1_spread=round(stdev(top1), 2) if len(top1) > 1 else None,
                    top5_mean=round(mean(run["top5"] for run in chosen), 2),
                    last_loss_mean=round(mean(run["losses"][-1] for run in chosen), 4),
                )
            )
    write_record(path, settings=settings, summary=summary, runs=runs)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["config", "variant", "seed", "epoch", "loss"])
    for run in runs:
        for epoch, loss in enumerate(run["losses"], 1):
            table.writerow([run["config"], run["variant"], run["seed"], epoch, f"{loss:.5f}"])
    write_file(path.with_suffix(".csv"), text.getvalue())


def main():
    args = parse_args()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    configs = {}
    for name in args.configs:
        path = ROOT / "configs" / "replacement" / f"{name}.py"
        if not path.is_file():
            names = sorted(p.stem for p in path.parent.glob("*.py"))
            raise FileNotFoundError(f"no config {name} in {path.parent}, which has {names}")
        configs[name] = Config.fromfile(path)
    settings = dict(
        epochs=args.epochs,
        fraction=args.fraction,
        batch_size=args.batch_size,
        stem_stride=args.stem_stride,
        input="32x32, random crop with a padding of 4, flip",
        optimizer="that of the configs, 5 % linear warm-up, cosine to 0, label smoothing 0.1",
        spread="standard deviation over seeds",
    )
    runs = []
    if args.out.exists():
        record = mmengine.load(args.out)
        if record["settings"] != settings:
            raise ValueError(f"{args.out} has other settings: {record['settings']}")
        runs = record["runs"]
    arrays, labels = read_cifar100(args.data / "train.npz")
    subset = balanced_subset(labels, args.fraction, seed=0)
    test_arrays, test_labels = read_cifar100(args.data / "test.npz")
    # All configs of Table 5 have the statistics of CIFAR-100 in their preprocessor.
    statistics = next(iter(configs.values())).data_preprocessor
    shift = torch.tensor(statistics.mean).view(1, 3, 1, 1)
    scale = torch.tensor(statistics.std).view(1, 3, 1, 1)
    images, test_images = (
        (torch.from_numpy(a).permute(0, 3, 1, 2).float() - shift) / scale
        for a in (arrays[subset], test_arrays)
    )
    labels, test_labels = torch.from_numpy(labels[subset]), torch.from_numpy(test_labels)
    done = {(run["config"], run["variant"], run["seed"]) for run in runs}
    for seed in args.seeds:
        for name, cfg in configs.items():
            for variant in VARIANTS:
                if (name, variant, seed) in done:
                    continue
                torch.manual_seed(seed)
                model, parameters = build(cfg, variant, args.stem_stride)
                # The noise of the choice and dropout start alike in both variants.
                torch.manual_seed(seed)
                # Twice as fast on a CPU.
                model.to(args.device, memory_format=torch.channels_last)
                label = f"{name}, {variant}, seed {seed}"
                start = time.perf_counter()
                losses = train(model, images, labels, cfg, args, seed, label)
                top1, top5 = accuracy(model, test_images, test_labels, args.device)
                logger.info(f"{label}: top-1 {top1:.2f} %, top-5 {top5:.2f} %")
                runs.append(
                    dict(
                        config=name,
                        variant=variant,
                        seed=seed,
                        parameters=parameters,
                        top1=round(top1, 2),
                        top5=round(top5, 2),
                        seconds=round(time.perf_counter() - start),
                        losses=[round(loss, 5) for loss in losses],
                    )
                )
                write(args.out, settings, runs)


if __name__ == "__main__":
    main()
