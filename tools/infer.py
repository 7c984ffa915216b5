"""Detect objects in images: annotated pictures and a COCO-format JSON.

OUT_DIR/vis holds the pictures, OUT_DIR/predictions.json the keys ``images``, ``categories`` and
``annotations`` with ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels) and
``score``. Ids of images and categories are those of an annotation file where it has them, so that
pycocotools' ``loadRes`` takes the annotations; others are numbered from 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import mmcv
import mmengine
import numpy as np
from mmengine.logging import MMLogger
from rich.progress import track

from mmhadaptive.engine import check_state_dict
from mmhadaptive.engine.coco_annotations import annotation_file
from mmhadaptive.engine.launch import check_mmcv_operators
from mmhadaptive.engine.quiet import quiet_imports, quiet_logger
from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.io.images import find_images, read_image
from mmhadaptive.io.user_errors import UserError, blame_config, run_script
from mmhadaptive.visualization import draw_contact_sheet

BATCH_SIZE = 8
# Pictures on the contact sheet.
SHEET_SIZE = 24


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text}")
    return int(text)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("input", type=Path, help="an image, or a folder of images")
    parser.add_argument("config", help="the detector's config, or MODEL.onnx of tools/export.py")
    parser.add_argument("checkpoint", nargs="?", help="the detector's checkpoint; none for an ONNX")
    parser.add_argument("--out-dir", type=Path, default=Path("outputs"), help="(%(default)s)")
    parser.add_argument("--score-thr", type=float, default=0.3, help="lowest score (%(default)s)")
    parser.add_argument("--device", help="cpu, cuda:0, ...; default: a GPU if there is one")
    parser.add_argument("--limit", type=positive, help="use the first images only")
    parser.add_argument(
        "--ann-file",
        type=Path,
        metavar="FILE.json",
        help="take the ids of images (by file name) and categories (by name) from this file "
        "(default: that of the config's test set, if it is there)",
    )
    parser.add_argument(
        "--contact-sheet",
        type=Path,
        metavar="FILE.png",
        help=f"also draw the first {SHEET_SIZE} annotated pictures side by side",
    )
    args = parser.parse_args()
    if args.ann_file and not args.ann_file.is_file():
        parser.error(f"no annotation file at {args.ann_file}")
    if args.config.endswith(".onnx") == bool(args.checkpoint):
        parser.error("give CONFIG CHECKPOINT, or MODEL.onnx alone")
    if args.config.endswith(".onnx") and args.device:
        parser.error("--device is for checkpoints")
    return args


def load_checkpoint(args: argparse.Namespace) -> tuple[Callable, list[str], Path | None]:
    """A function from arrays to mmdet's predictions and annotated pictures, the names of classes,
    and the annotation file of the config's test set."""
    from mmdet.apis import DetInferencer

    check_mmcv_operators()
    checkpoint = load_checkpoint_file(args.checkpoint, map_location="cpu")
    quiet_logger(MMLogger.get_current_instance())
    with blame_config():
        inferencer = DetInferencer(
            args.config, args.checkpoint, device=args.device, show_progress=False
        )
    check_state_dict(
        inferencer.model,
        checkpoint.get("state_dict", checkpoint),
        args.checkpoint,
        partial=False,
    )

    def detect(arrays: list[np.ndarray]) -> tuple[list[dict], list[np.ndarray]]:
        result = inferencer(
            arrays, batch_size=BATCH_SIZE, return_vis=True, pred_score_thr=args.score_thr
        )
        return result["predictions"], result["visualization"]

    classes = inferencer.model.dataset_meta["classes"]
    return detect, classes, annotation_file(inferencer.cfg, "test")


def load_onnx(args: argparse.Namespace) -> tuple[Callable, list[str], None]:
    """The same of an exported detector."""
    from mmhadaptive.deploy import OnnxRunner
    from mmhadaptive.visualization import draw_detections

    runner = OnnxRunner(args.config)
    if runner.task != "detector":
        raise UserError(f"{args.config} is a {runner.task}, and this detects")
    classes = runner.classes or [str(i) for i in range(1000)]

    def detect(arrays: list[np.ndarray]) -> tuple[list[dict], list[np.ndarray]]:
        found = runner(arrays)
        pictures = [
            draw_detections(array, each, classes, args.score_thr)
            for array, each in zip(arrays, found, strict=True)
        ]
        return [{name: t.tolist() for name, t in each.items()} for each in found], pictures

    return detect, classes, None


def main() -> None:
    args = parse_args()
    quiet_imports()
    from mmhadaptive.evaluation import CocoIds, CocoPredictions

    paths = find_images(args.input)[: args.limit]
    load = load_onnx if args.config.endswith(".onnx") else load_checkpoint
    detect, classes, annotations = load(args)
    ids = CocoIds(args.ann_file or annotations)
    predictions = CocoPredictions(ids, classes, args.score_thr)
    sheet = []
    batches = [paths[i : i + BATCH_SIZE] for i in range(0, len(paths), BATCH_SIZE)]
    for batch in track(batches, "Detecting"):
        arrays = [read_image(path) for path in batch]
        for path, array, prediction, picture in zip(batch, arrays, *detect(arrays), strict=True):
            predictions.add(path, *array.shape[:2], prediction)
            mmcv.imwrite(picture, str(args.out_dir / "vis" / path.name))
            sheet = [*sheet, picture][:SHEET_SIZE]
    file = args.out_dir / "predictions.json"
    mmengine.dump(predictions.content(), str(file))
    print(f"{len(predictions.annotations)} boxes in {len(paths)} images: {file}")
    print(f"Pictures: {args.out_dir / 'vis'}")
    if args.contact_sheet:
        mmcv.imwrite(draw_contact_sheet(sheet), str(args.contact_sheet))
        print(f"Contact sheet: {args.contact_sheet}")


if __name__ == "__main__":
    run_script(main)
