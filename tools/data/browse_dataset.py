"""Draw what a training sees: a sheet of samples of the config's loader with their labels.

Pictures are augmented as in the training, with boxes and class names; for a classifier, as its data
preprocessor augments them.
"""

from itertools import islice
from pathlib import Path

import mmcv
from rich.progress import track

from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import config_arguments, read_config
from mmhadaptive.engine.loader_batches import build_loader, build_preprocessor, iterate
from mmhadaptive.io.user_errors import UserError, run_script
from mmhadaptive.visualization import (
    draw_classification_samples,
    draw_contact_sheet,
    draw_detection_samples,
)

# Pixels of the longer edge on the sheet.
SIDE = 320


def parse_args():
    parser = config_arguments(__doc__)
    parser.add_argument("--number", type=int, default=24, help="samples (%(default)s)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train")
    parser.add_argument("--seed", type=int, default=0, help="of order and augmentation (0)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.png", help="default: outputs/CONFIG_SPLIT.png"
    )
    args = parser.parse_args()
    if args.number < 1:
        parser.error(f"--number must be at least 1, got {args.number}")
    return args


def main():
    args = parse_args()
    cfg = read_config(args)
    check_data_files(cfg, (args.split,))
    loader = build_loader(cfg, args.split, args.number, args.seed)
    batches = iterate(cfg, loader, args.seed)
    metainfo = loader.dataset.metainfo
    if cfg.get("default_scope") == "mmpretrain":
        preprocessor = build_preprocessor(cfg)
        training = args.split == "train"
        pictures = draw_classification_samples(batches, preprocessor, training, metainfo, SIDE)
    else:
        pictures = draw_detection_samples(batches, metainfo, SIDE)
    number = min(args.number, len(loader.dataset))
    sheet = list(track(islice(pictures, number), "Drawing", total=number))
    if not sheet:
        raise UserError(f"{args.config}: no sample is left for {args.split}")
    out = args.out or Path("outputs") / f"{Path(args.config).stem}_{args.split}.png"
    if not mmcv.imwrite(draw_contact_sheet(sheet, cell=SIDE + 8)[..., ::-1], str(out)):
        raise UserError(f"could not write {out}")
    print(f"{len(sheet)} samples: {out}")


if __name__ == "__main__":
    run_script(main)
