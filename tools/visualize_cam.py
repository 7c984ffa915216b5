"""Draw which parts of a picture a class or a box is seen by, layer for layer (Grad-CAM).

    python tools/visualize_cam.py PICTURE CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] --out cam.png

One sheet: a row a network, classifier or detector, and a column a layer along its depth. All rows
have the target of the first: the class that it predicts, or the box that it finds with the highest
score, unless --target and --box say another one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import DefaultScope
from rich.progress import track

from mmhadaptive.engine.launch import check_mmcv_operators, read_config
from mmhadaptive.engine.load_model import load_model
from mmhadaptive.engine.picture_input import picture_input
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import UserError, run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_class_activation, to_png


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path, help="an image file")
    parser.add_argument(
        "networks", nargs="+", metavar="CONFIG CHECKPOINT", help="a row of the sheet each pair"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/cam.png"), help="(%(default)s)")
    parser.add_argument("--target", metavar="CLASS", help="the name of a class, or its index")
    parser.add_argument(
        "--box",
        type=int,
        metavar="N",
        help="of a detector, the box at this place by score (1), among those of --target",
    )
    parser.add_argument(
        "--layers",
        nargs="+",
        metavar="NAME",
        help="modules along the depth, as backbone.stages.3 (every block of the backbone)",
    )
    parser.add_argument(
        "--columns", type=int, metavar="N", help="layers side by side; the others below (all)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda:0, ... (%(default)s)")
    parser.add_argument("--dpi", type=int, default=120, help="pixels of an inch (%(default)s)")
    parser.add_argument("--record", metavar="FILE.json", help="write how the sheet was made")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE")
    args = parser.parse_args()
    if len(args.networks) % 2:
        parser.error("give a CHECKPOINT for every CONFIG")
    for name in ("box", "columns", "dpi"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    return args


def main() -> None:
    args = parse_args()
    rows: list[dict] = []
    pairs = list(zip(args.networks[::2], args.networks[1::2], strict=True))
    for config, checkpoint in track(pairs, "Networks"):
        cfg = read_config(argparse.Namespace(config=config, cfg_options=args.cfg_options))
        rows.append(draw_row(args, cfg, checkpoint, rows[0] if rows else None))
    write_file(args.out, to_png(draw_class_activation(rows, args.columns), dpi=args.dpi))
    if args.record:
        made = [
            dict(network=row["title"], target=row["class"], layers=[x.name for x in row["layers"]])
            for row in rows
        ]
        write_record(args.record, rows=made)
    for row in rows:
        print(f"{row['title']}: {row['caption']}".replace("\n", ", "))
    print(f"Sheet: {args.out}")


def draw_row(args: argparse.Namespace, cfg: Config, checkpoint: str, first: dict | None) -> dict:
    """A row of the sheet, with the target of the first one."""
    from mmhadaptive.analysis.class_activation import (
        box_score,
        class_activation,
        class_label,
        classifier_score,
        classifier_target,
        detector_target,
        is_detector,
        layers_along_depth,
    )

    if cfg.get("default_scope") == "mmdet":
        check_mmcv_operators()
    model = load_model(cfg, checkpoint).to(args.device)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        x, samples, picture = picture_input(cfg, model, args.picture)
        meta = getattr(model, "dataset_meta", None) or cfg.get("metainfo") or {}
        classes = meta.get("classes")
        wanted = args.target if first is None else first["class"]
        label = None if wanted is None else class_label(classes, wanted)
        if is_detector(model):
            near = None
            if first is not None and first["box"] is not None:
                sides = zip(picture.shape[1::-1], first["picture"].shape[1::-1], strict=True)
                near = np.multiply(first["box"], [a / b for a, b in sides] * 2)
            target = detector_target(model, x, samples, label, args.box, near)
            score = box_score(samples, target.number)
        elif args.box is not None:
            raise UserError(f"--box is for detectors, and {cfg.filename} is a classifier")
        else:
            target = classifier_target(model, x, label)
            score = classifier_score(target.label)
        layers = class_activation(model, x, score, args.layers or layers_along_depth(model, x))
    name = str(classes[target.label]) if classes else str(target.label)
    return dict(
        title=f"{Path(cfg.filename).stem} ({Path(checkpoint).name})",
        picture=picture,
        caption=f"{name}\n{target.score:.2f}",
        box=target.box,
        layers=layers,
        **{"class": name},
    )


if __name__ == "__main__":
    run_script(main)
