"""Export a checkpoint: ONNX, of standard operators or with ours, or torch.export's .pt2.

The file is compared with PyTorch on pictures, one by one and by four where its batch allows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mmhadaptive.engine.launch import config_arguments, read_config
from mmhadaptive.engine.load_model import inputs_of_test_set, load_model
from mmhadaptive.io.images import find_images
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import UserError, run_script

PICTURES = 8


def parse_args() -> argparse.Namespace:
    parser = config_arguments(__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", help="a checkpoint that training wrote")
    parser.add_argument("out", type=Path, help="OUT.onnx or OUT.pt2")
    parser.add_argument(
        "--outputs",
        choices=["raw", "boxes", "nms"],
        help="of a detector: the head's maps, decoded boxes, or detections (default: nms in ONNX, "
        "else boxes)",
    )
    parser.add_argument(
        "--batch",
        type=lambda text: None if text == "dynamic" else int(text),
        default=1,
        help="number of pictures, or 'dynamic' (%(default)s)",
    )
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="(that of the test pipeline)"
    )
    parser.add_argument(
        "--form",
        choices=["standard", "operator", "fused"],
        help="standard operators of ONNX, or with those of ours for products or whole blocks "
        "(standard)",
    )
    parser.add_argument("--opset", type=int, help="version of ONNX's operators (20)")
    parser.add_argument("--backbone", action="store_true", help="the backbone alone")
    parser.add_argument(
        "--compiled", action="store_true", help="a .pt2 compiled by AOTInductor for this machine"
    )
    parser.add_argument(
        "--pictures", type=Path, help="a picture or a folder to compare on (the config's test set)"
    )
    parser.add_argument("--report", metavar="FILE.json", help="write what was compared")
    parser.add_argument(
        "--untrained", action="store_true", help="take weights that nothing has trained"
    )
    args = parser.parse_args()
    if args.out.suffix not in (".onnx", ".pt2"):
        parser.error(f"OUT must end in .onnx or .pt2, got {args.out}")
    if args.compiled and args.out.suffix != ".pt2":
        parser.error("--compiled is for .pt2")
    for name in ("opset", "form"):
        if getattr(args, name) is not None and args.out.suffix != ".onnx":
            parser.error(f"--{name} is for .onnx")
    if args.batch is not None and args.batch < 1:
        parser.error(f"--batch must be at least 1, got {args.batch}")
    return args


def main() -> None:
    args = parse_args()
    cfg = read_config(args)
    # Not above: they import torch's exporter.
    from mmhadaptive.deploy import (
        check_onnx,
        check_pt2,
        describe,
        export_onnx,
        export_pt2,
        preprocess,
        read_picture,
    )
    from mmhadaptive.deploy.onnx_export import OPSET

    whole = load_model(cfg, args.checkpoint, args.untrained)
    about = describe(cfg, whole, args.size)
    model = whole
    if args.backbone:
        model, about = whole.backbone, dict(about, task="backbone", classes=None)
    size, onnx = about["size"], args.out.suffix == ".onnx"
    if args.pictures:
        paths = find_images(args.pictures)[:PICTURES]
        inputs = np.stack([preprocess(read_picture(path), about)[0] for path in paths])
    elif args.size:
        raise UserError("a --size of your own needs --pictures to compare on")
    else:
        inputs = inputs_of_test_set(cfg, whole, PICTURES, size).numpy()

    outputs = args.outputs or ("nms" if onnx else "boxes")
    if about["task"] != "detector":
        outputs = "raw"
    options = dict(size=size, batch=args.batch, outputs=outputs, metadata=about)
    if onnx:
        form = args.form or "standard"
        export_onnx(model, args.out, opset=args.opset or OPSET, form=form, **options)
    else:
        export_pt2(model, args.out, compiled=args.compiled, **options)
    print(
        f"{args.out}: {about['task']}, {size[0]}x{size[1]}, {args.out.stat().st_size / 1e6:.1f} MB"
    )
    compared = {}
    for batch in [args.batch] if args.batch else [1, 4]:
        if onnx:
            report = check_onnx(args.out, model, inputs, batch)
        else:
            report = check_pt2(args.out, model, inputs, batch, args.compiled)
        compared[batch] = report
        print(f"Beside PyTorch, {len(inputs)} pictures, {batch} at once, largest error:")
        for name, entry in report.items():
            if "error" in entry:
                print(f"  {name}: {entry['error']:.1e} (values to {entry['largest']:.3g})")
            else:
                print(f"  {entry['expected']} detections, {entry['unpaired']} without a partner")
    if args.report:
        write_record(args.report, model=about, pictures=len(inputs), compared=compared)


if __name__ == "__main__":
    run_script(main)
