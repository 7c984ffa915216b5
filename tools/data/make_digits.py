"""Draw a detection set, in COCO's format, and a classification set from real handwritten digits.

Digits of scikit-learn's bundled set (1,797 images of 8x8 pixels, from the UCI repository) are
enlarged, turned a little, coloured and pasted onto textures: several to an image for detection,
one to a crop for classification (``crops/train.npz`` and ``crops/val.npz``). A digit that appears
in training appears in no validation. The sets depend on the arguments alone and take seconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import new_folder

CLASSES = [str(digit) for digit in range(10)]


def draw_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """A dark coloured texture of smooth noise at several scales, (size, size, 3) in 0..255."""
    texture = np.zeros((size, size, 3), np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        weight = rng.uniform(0, 1) / np.sqrt(cells)
        texture += weight * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    texture *= 60 / (np.abs(texture).max() + 1e-6)
    return np.clip(texture + rng.uniform(30, 120, 3), 0, 255)


def draw_glyph(rng: np.random.Generator, digit: np.ndarray, height: int) -> np.ndarray:
    """The coverage of an enlarged and turned digit, cropped to its ink, in 0..1."""
    scale = height / 8
    canvas = int(2 * height)
    matrix = cv2.getRotationMatrix2D((3.5, 3.5), rng.uniform(-10, 10), scale)
    matrix[:, 2] += canvas / 2 - 3.5
    glyph = cv2.warpAffine(digit / 16, matrix, (canvas, canvas), flags=cv2.INTER_CUBIC)
    glyph = np.clip(1.5 * glyph - 0.25, 0, 1)
    rows, columns = np.where(glyph > 0.25)
    return glyph[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def overlaps(box: tuple[int, int, int, int], others: list[tuple[int, int, int, int]]) -> bool:
    """Whether ``box`` (x, y, w, h) shares more than a tenth of the smaller area with another."""
    x, y, w, h = box
    for a, b, c, d in others:
        width = min(x + w, a + c) - max(x, a)
        height = min(y + h, b + d) - max(y, b)
        if width > 0 and height > 0 and width * height > 0.1 * min(w * h, c * d):
            return True
    return False


def blend(rng: np.random.Generator, image: np.ndarray, glyph: np.ndarray, x: int, y: int) -> None:
    """Paint a glyph in a bright colour onto ``image``, its upper left corner at (x, y)."""
    patch = image[y : y + glyph.shape[0], x : x + glyph.shape[1]]
    patch += glyph[..., None] * (rng.uniform(200, 255, 3) - patch)


def draw_height(rng: np.random.Generator, size: int) -> int:
    """The height of a digit of an image of ``size`` pixels a side."""
    return int(size * np.exp(rng.uniform(np.log(0.2), np.log(0.5))))


def draw_image(
    rng: np.random.Generator, digits: np.ndarray, size: int
) -> tuple[np.ndarray, list[tuple[int, tuple[int, int, int, int]]]]:
    """An image with up to six digits, and ``(row of digits, box)`` for each."""
    image = draw_texture(rng, size)
    placed = []
    for _ in range(rng.integers(2, 7)):
        height = draw_height(rng, size)
        row = int(rng.integers(len(digits)))
        glyph = draw_glyph(rng, digits[row], height)
        h, w = glyph.shape
        for _ in range(20):
            x, y = int(rng.integers(0, size - w + 1)), int(rng.integers(0, size - h + 1))
            if not overlaps((x, y, w, h), [box for _, box in placed]):
                break
        else:
            continue
        blend(rng, image, glyph, x, y)
        placed.append((row, (x, y, w, h)))
    return image.astype(np.uint8), placed


def draw_crop(rng: np.random.Generator, digit: np.ndarray, size: int) -> np.ndarray:
    """A crop of half an image's size, with a digit of the sizes of :func:`draw_image`."""
    image = draw_texture(rng, size)
    glyph = draw_glyph(rng, digit, draw_height(rng, 2 * size))[:size, :size]
    h, w = glyph.shape
    blend(rng, image, glyph, int(rng.integers(0, size - w + 1)), int(rng.integers(0, size - h + 1)))
    return image.astype(np.uint8)


def split_digits(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the digits for training and, a fifth of them, for validation."""
    order = rng.permutation(count)
    return order[count // 5 :], order[: count // 5]


def draw_split(
    rng: np.random.Generator,
    digits: np.ndarray,
    labels: np.ndarray,
    folder: Path,
    name: str,
    count: int,
    size: int,
) -> None:
    """Write ``count`` images to ``folder/name`` and ``folder/annotations/name.json``."""
    (folder / name).mkdir(parents=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for image_id in track(range(1, count + 1), f"Drawing {name}"):
        image, placed = draw_image(rng, digits, size)
        file_name = f"{image_id:05d}.png"
        if not cv2.imwrite(str(folder / name / file_name), image):
            raise OSError(f"could not write {folder / name / file_name}")
        images.append(dict(id=image_id, file_name=file_name, width=size, height=size))
        for row, box in placed:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=int(labels[row]) + 1,
                    bbox=list(box),
                    area=box[2] * box[3],
                    iscrowd=0,
                )
            )
    categories = [
        dict(id=i + 1, name=label, supercategory="digit") for i, label in enumerate(CLASSES)
    ]
    data = dict(images=images, annotations=annotations, categories=categories)
    (folder / "annotations" / f"{name}.json").write_text(json.dumps(data))


def draw_crops(
    rng: np.random.Generator,
    digits: np.ndarray,
    labels: np.ndarray,
    folder: Path,
    name: str,
    count: int,
    size: int,
) -> None:
    """Write ``count`` crops to ``folder/crops/name.npz`` as ``images`` (RGB) and ``labels``."""
    (folder / "crops").mkdir(exist_ok=True)
    rows = rng.integers(len(digits), size=count)
    images = [draw_crop(rng, digits[row], size) for row in track(rows, f"Drawing crops/{name}")]
    np.savez(folder / "crops" / f"{name}.npz", images=np.stack(images), labels=labels[rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out-dir", type=Path, default=Path("data/digits"), help="default: %(default)s"
    )
    parser.add_argument("--train", type=int, default=4000, help="training images (%(default)s)")
    parser.add_argument("--val", type=int, default=200, help="validation images (%(default)s)")
    parser.add_argument("--crops", type=int, default=16000, help="training crops (%(default)s)")
    parser.add_argument("--size", type=int, default=128, help="pixels a side (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    digits = load_digits()
    rng = np.random.default_rng(args.seed)
    train, val = split_digits(rng, len(digits.images))
    try:
        with new_folder(args.out_dir) as folder:
            for name, rows, count in (("train", train, args.train), ("val", val, args.val)):
                images, labels = digits.images[rows], digits.target[rows]
                draw_split(rng, images, labels, folder, name, count, args.size)
                crops = args.crops if name == "train" else min(args.crops, 1000)
                draw_crops(rng, images, labels, folder, name, crops, args.size // 2)
    except FileExistsError as error:
        parser.error(str(error))
    print(f"{args.out_dir}: {args.train} training and {args.val} validation images")


if __name__ == "__main__":
    run_script(main)
