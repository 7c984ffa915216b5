"""Freeze the selection of a model: every cross-Hadamard layer chooses the same channels for every
picture, those it chooses most often on the training's.

    python tools/freeze_selection.py CONFIG CHECKPOINT frozen.pth

writes frozen.pth and its config frozen.py, which tools/test.py, tools/train.py (to fine-tune) and
tools/export.py take, and prints how much of the choices was kept and the accuracy before and after.
Pooling, scores, TopK and Gather are gone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.registry import MODELS, DefaultScope
from rich.progress import track

from mmhadaptive.deploy.frozen_config import frozen_config
from mmhadaptive.deploy.frozen_selection import ORDERS, freeze_selection
from mmhadaptive.engine import check_state_dict
from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import build_runner, config_arguments, read_config
from mmhadaptive.engine.training_pictures import training_pictures
from mmhadaptive.engine.unwrap import unwrap
from mmhadaptive.io.checkpoint import load_checkpoint_file, save_checkpoint_file
from mmhadaptive.io.publish import publishable
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import UserError, run_script
from mmhadaptive.io.whole import write_file


def parse_args() -> argparse.Namespace:
    parser = config_arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoint", help="a checkpoint that training wrote")
    parser.add_argument("out", type=Path, metavar="OUT.pth", help="a config OUT.py beside")
    parser.add_argument(
        "--order",
        choices=ORDERS,
        default="set",
        help="fix the channels that are chosen most often at any rank, or at each rank "
        "(%(default)s)",
    )
    parser.add_argument(
        "--pictures", type=int, default=1000, help="how many to measure over (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    parser.add_argument("--no-test", action="store_true", help="do not measure the accuracy")
    parser.add_argument("--record", metavar="FILE.json", help="write the report")
    args = parser.parse_args()
    if args.out.suffix != ".pth":
        parser.error(f"OUT.pth must end in .pth, got {args.out}")
    if args.pictures < 1:
        parser.error(f"--pictures must be at least 1, got {args.pictures}")
    return args


def main() -> None:
    args = parse_args()
    cfg = read_config(args)
    checkpoint = load_checkpoint_file(args.checkpoint, "cpu")
    frozen = frozen_config(cfg, str(args.out))
    check_data_files(cfg, ("train",) if args.no_test else ("train", "test"))
    cfg.launcher = "none"
    cfg.setdefault("work_dir", str(Path("work_dirs") / Path(args.config).stem))
    cfg.load_from = args.checkpoint
    # A checkpoint has the averaged weights as its own; the hook would swap in others.
    cfg.custom_hooks = [hook for hook in cfg.get("custom_hooks", []) if hook["type"] != "EMAHook"]
    runner = build_runner(cfg)
    # The figures of every class would fill the terminal.
    runner.logger.setLevel("WARNING")
    runner.load_or_resume()
    model = unwrap(runner.model)
    loader = training_pictures(cfg, args.pictures, args.seed)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        report = freeze_selection(
            model,
            track(loader, "Choices"),
            args.order,
            None if args.no_test else runner.test,
        )
    print(report)
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    saved = publishable(checkpoint, keys=[key for key in ("meta",) if key in checkpoint])
    try:
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
            check_state_dict(MODELS.build(frozen.model), state, str(args.out), partial=False)
    except UserError as error:
        print(f"No config is written, for this one has no place for selection='fixed' ({error})")
    else:
        text = frozen.pretty_text
        write_file(args.out.with_suffix(".py"), text)
        if "meta" in saved:
            saved["meta"]["cfg"] = text
    save_checkpoint_file({**saved, "state_dict": state}, args.out)
    if args.record:
        write_record(args.record, **report.as_dict())


if __name__ == "__main__":
    run_script(main)
