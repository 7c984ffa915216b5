"""Train a detector or a classifier from a config."""

import os

import torch

from mmhadaptive.engine.check_data import check_voc_annotations
from mmhadaptive.engine.coco_annotations import check_coco_annotations
from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import load_config, run_arguments, train
from mmhadaptive.io.user_errors import UserError, run_script

OPTIM_WRAPPERS = {"bfloat16": "BFloat16OptimWrapper", "float16": "AmpOptimWrapper"}


def parse_args():
    parser = run_arguments(__doc__)
    parser.add_argument(
        "--amp",
        nargs="?",
        const="float16" if torch.cuda.is_available() else "bfloat16",
        choices=OPTIM_WRAPPERS,
        help="mixed precision, float16 with loss scaling; without a name, float16 on a GPU and "
        "bfloat16 on a CPU",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by batch size over auto_scale_lr.base_batch_size",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="continue from a checkpoint; without a name, from the latest one in the work dir",
    )
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        cfg.optim_wrapper.type = OPTIM_WRAPPERS[args.amp]
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            raise UserError(f"{args.config} has no auto_scale_lr.base_batch_size")
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == "auto" else args.resume
    check_data_files(cfg, ("train", "val"))
    # One process a node is enough, for a large file takes seconds and gigabytes.
    if os.environ["LOCAL_RANK"] == "0":
        check_coco_annotations(cfg, ("train", "val"))
        check_voc_annotations(cfg, ("train", "val"))
    train(cfg)


if __name__ == "__main__":
    run_script(main)
