"""Detect objects in images: annotated pictures and a COCO-format JSON.

OUT_DIR/vis holds the pictures, OUT_DIR/predictions.json the keys ``images``, ``categories`` and
``annotations`` with ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels) and
``score``. Ids of images and categories are those of an annotation file where it has them, so that
pycocotools' ``loadRes`` takes the annotations; others are numbered from 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mmcv
import mmengine
import numpy as np
from mmdet.apis import DetInferencer
from mmengine.config import Config
from rich.progress import track

from mmhadaptive.engine import check_state_dict
from mmhadaptive.engine.coco_annotations import coco_datasets
from mmhadaptive.evaluation import CocoIds
from mmhadaptive.io.checkpoint import load_checkpoint_file

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
BATCH_SIZE = 8


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text}")
    return int(text)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("input", type=Path, help="an image, or a folder of images")
    parser.add_argument("config", help="the detector's config")
    parser.add_argument("checkpoint", help="the detector's checkpoint")
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
        help="also draw the first 24 annotated pictures side by side",
    )
    args = parser.parse_args()
    if args.ann_file and not args.ann_file.is_file():
        parser.error(f"no annotation file at {args.ann_file}")
    return args


def find_images(path: Path) -> list[Path]:
    """The image at ``path``, or the images in the folder ``path``, sorted by name."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"no image or folder at {path}")
    images = sorted(each for each in path.iterdir() if each.suffix.lower() in EXTENSIONS)
    if not images:
        raise FileNotFoundError(f"no image in {path}; looked for {', '.join(EXTENSIONS)}")
    return images


def find_annotations(cfg: Config) -> str | None:
    """The annotation file of the config's test set, if there is one such file."""
    files = {dataset.ann_file for dataset in coco_datasets(cfg, "test")}
    return files.pop() if len(files) == 1 and Path(*files).is_file() else None


def read_image(path: Path) -> np.ndarray:
    """Decode an image to (H, W, 3), BGR."""
    image = mmcv.imread(str(path))
    if image is None:
        raise ValueError(f"{path} does not decode as an image")
    return image


def draw_contact_sheet(pictures: list[np.ndarray], columns: int = 6, cell: int = 256) -> np.ndarray:
    """Pictures (H, W, 3) scaled into a grid of square cells."""
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * cell, min(columns, len(pictures)) * cell, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        scaled = mmcv.imrescale(picture, (cell - 8, cell - 8))
        y, x = (i // columns) * cell + 4, (i % columns) * cell + 4
        sheet[y : y + scaled.shape[0], x : x + scaled.shape[1]] = scaled
    return sheet


def main() -> None:
    args = parse_args()
    paths = find_images(args.input)[: args.limit]
    inferencer = DetInferencer(
        args.config, args.checkpoint, device=args.device, show_progress=False
    )
    checkpoint = load_checkpoint_file(args.checkpoint, map_location="cpu")
    check_state_dict(
        inferencer.model,
        checkpoint.get("state_dict", checkpoint),
        args.checkpoint,
        partial=False,
    )

    classes = inferencer.model.dataset_meta["classes"]
    ids = CocoIds(args.ann_file or find_annotations(inferencer.cfg))
    categories = [dict(id=ids.category(name), name=name) for name in classes]
    images, annotations, sheet = [], [], []
    batches = [paths[i : i + BATCH_SIZE] for i in range(0, len(paths), BATCH_SIZE)]
    for batch in track(batches, "Detecting"):
        arrays = [read_image(path) for path in batch]
        result = inferencer(
            arrays, batch_size=BATCH_SIZE, return_vis=True, pred_score_thr=args.score_thr
        )
        for path, array, prediction, picture in zip(
            batch, arrays, result["predictions"], result["visualization"], strict=True
        ):
            mmcv.imwrite(picture, str(args.out_dir / "vis" / path.name))
            if len(sheet) < 24:
                sheet.append(picture)
            height, width = array.shape[:2]
            image = dict(id=ids.image(path), file_name=path.name, width=width, height=height)
            images.append(image)
            for label, score, (x1, y1, x2, y2) in zip(
                prediction["labels"], prediction["scores"], prediction["bboxes"], strict=True
            ):
                if score < args.score_thr:
                    continue
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=image["id"],
                        category_id=categories[label]["id"],
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        area=(x2 - x1) * (y2 - y1),
                        iscrowd=0,
                        score=score,
                    )
                )
    predictions = args.out_dir / "predictions.json"
    mmengine.dump(
        dict(images=images, categories=categories, annotations=annotations), str(predictions)
    )
    print(f"{len(annotations)} boxes in {len(images)} images: {predictions}")
    print(f"Pictures: {args.out_dir / 'vis'}")
    if args.contact_sheet:
        mmcv.imwrite(draw_contact_sheet(sheet), str(args.contact_sheet))
        print(f"Contact sheet: {args.contact_sheet}")


if __name__ == "__main__":
    main()
