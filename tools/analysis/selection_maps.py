"""Show which channels the cross-Hadamard layers choose, and whether the choice adapts.

    python tools/analysis/selection_maps.py CONFIG CHECKPOINT --out PREFIX
    python tools/analysis/selection_maps.py --training WORK_DIR --out PREFIX

The first lets the network predict the pictures of the config's test. PREFIX.png shows, layer by
layer, which channel has which rank how often, and how the classes differ; PREFIX.csv has the counts
and PREFIX_classes.csv those of the classes. The second draws temperature and entropy of every layer
over a training into PREFIX_training.png, with PREFIX_training.csv. Both may be asked for at once.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
from dataclasses import astuple, fields
from pathlib import Path

from mmengine.device import get_device
from mmengine.registry import DefaultScope
from rich.progress import track
from torch import manual_seed
from torch.random import fork_rng

from mmhadaptive.analysis.selection import (
    choices_csv,
    choices_summary,
    class_choices,
    classes_csv,
    measure_choices,
    summary_lines,
)
from mmhadaptive.analysis.selection_log import LoggedChoice, read_selection_log
from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import (
    blame_pictures,
    check_mmcv_operators,
    config_arguments,
    read_config,
)
from mmhadaptive.engine.load_model import build_model, load_model
from mmhadaptive.engine.pictures_of_test import pictures_of_test
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import UserError, run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import (
    SelectionMap,
    draw_selection_curves,
    draw_selection_maps,
    to_png,
)


def parse_args() -> argparse.Namespace:
    parser = config_arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    # Without a network there is a training to draw.
    parser._actions[1].nargs = "?"
    parser.add_argument("checkpoint", nargs="?", help="a checkpoint that training wrote")
    parser.add_argument(
        "--out", required=True, metavar="PREFIX", help="of the files, such as maps/bccd"
    )
    parser.add_argument("--training", type=Path, metavar="WORK_DIR", help="of tools/train.py")
    parser.add_argument("--pictures", type=int, help="how many, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    parser.add_argument(
        "--untrained", action="store_true", help="measure the network with random weights too"
    )
    parser.add_argument("--layers", default="", metavar="REGEX", help="draw these only")
    parser.add_argument("--record", metavar="FILE.json", help="write the figures of the layers")
    args = parser.parse_args()
    if args.checkpoint is None and (args.config or args.training is None):
        parser.error("needs CONFIG and CHECKPOINT, or --training WORK_DIR")
    if args.record and args.checkpoint is None:
        parser.error("--record needs CONFIG and CHECKPOINT")
    if args.pictures is not None and args.pictures < 2:
        parser.error(f"--pictures must be at least 2, got {args.pictures}")
    try:
        args.layers = re.compile(args.layers)
    except re.error as error:
        parser.error(f"--layers {args.layers}: {error}")
    return args


def draw_training(args: argparse.Namespace) -> None:
    layers = read_selection_log(args.training)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["layer", *(field.name for field in fields(LoggedChoice))])
    for name, entries in layers.items():
        writer.writerows((name, *astuple(entry)) for entry in entries)
    drawn = {name: entries for name, entries in layers.items() if args.layers.search(name)}
    if not drawn:
        raise UserError(f"--layers {args.layers.pattern}: the layers are {', '.join(layers)}")
    write_file(f"{args.out}_training.csv", text.getvalue())
    write_file(f"{args.out}_training.png", to_png(draw_selection_curves(drawn), dpi=150))


def measure(cfg, args, model, loader, labels, names):
    """What the layers of a model choose, and what for the classes where these are known."""
    model.to(get_device())
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), blame_pictures():
        choices = measure_choices(model, track(loader, "Choices"))
    if not labels or not names:
        return choices, {}
    return choices, {
        name: class_choices(layer, labels, len(names), seed=args.seed)
        for name, layer in track(choices.items(), "Classes")
    }


def draw_maps(args: argparse.Namespace) -> None:
    cfg = read_config(args)
    check_data_files(cfg, ("test",))
    if cfg.get("default_scope") == "mmdet":
        check_mmcv_operators()
    # Also weights that nothing has trained may be looked at.
    model = load_model(cfg, args.checkpoint, untrained=True)
    loader, labels, names = pictures_of_test(cfg, args.pictures, args.seed)
    choices, by_class = measure(cfg, args, model, loader, labels, names)
    drawn = {name: layer for name, layer in choices.items() if args.layers.search(name)}
    if not drawn:
        raise UserError(f"--layers {args.layers.pattern}: the layers are {', '.join(choices)}")
    summary = choices_summary(choices, by_class)
    print(summary_lines(summary))
    if args.untrained:
        with fork_rng(devices=[]):
            manual_seed(args.seed)
            model = build_model(cfg)
        others = choices_summary(*measure(cfg, args, model, loader, labels, names))
        print("\nThe same network with random weights")
        print(summary_lines(others))
        for name, row in others.items():
            summary[name]["untrained"] = row
    maps = {}
    for name, layer in drawn.items():
        classes, found = by_class.get(name), {}
        if classes:
            found = dict(
                class_counts=classes.counts.numpy(),
                class_pictures=classes.pictures.numpy(),
                difference=None if classes.difference is None else classes.comparison,
            )
        maps[name] = SelectionMap(layer.counts.numpy(), **found)
    write_file(f"{args.out}.png", to_png(draw_selection_maps(maps, names), dpi=110))
    write_file(f"{args.out}.csv", choices_csv(choices))
    if by_class:
        write_file(f"{args.out}_classes.csv", classes_csv(by_class, names))
    if args.record:
        pictures = len(next(iter(choices.values())).index)
        write_record(args.record, pictures=pictures, classes=len(names), layers=summary)


def main() -> None:
    args = parse_args()
    if args.training:
        draw_training(args)
    if args.checkpoint:
        draw_maps(args)


if __name__ == "__main__":
    run_script(main)
