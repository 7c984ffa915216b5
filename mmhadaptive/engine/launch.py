"""What the training and test scripts have in common: arguments, config, Runner."""

from __future__ import annotations

import argparse
import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.dist import barrier, is_distributed, is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import UserError, blame_config
from mmhadaptive.io.whole import remove_unfinished
from mmhadaptive.optional import MMCV_OPERATORS, needs
from mmhadaptive.registry import SCOPE

from .hooks import MovedWorkDirHook, check_shapes
from .quiet import quiet_imports, quiet_logger


def config_arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments that name a config and change it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="a config file of mmdet's or mmpretrain's form")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help='entries that override the config: optim_wrapper.optimizer.lr=0.01, or key="[a,b]"',
    )
    return parser


def run_arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments that mmdet's and mmpretrain's scripts share."""
    parser = config_arguments(description)
    parser.add_argument("--work-dir", help="folder for logs and checkpoints")
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="job launcher",
    )
    # torch.distributed.launch passes it; torchrun sets the environment instead.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def read_config(args: argparse.Namespace) -> Config:
    """Read the config and change it as the arguments of :func:`config_arguments` say."""
    quiet_imports()
    if not Path(args.config).is_file():
        raise FileNotFoundError(f"no config at {args.config}")
    with blame_config():
        cfg = Config.fromfile(args.config)
        if args.cfg_options is not None:
            cfg.merge_from_dict(args.cfg_options)
    return cfg


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the arguments of :func:`run_arguments`.

    ``--work-dir`` wins over the config's ``work_dir``, which wins over ``work_dirs/<config name>``.
    """
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_config(args)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(args.config).stem)
    return cfg


def augment_test(cfg: Config) -> None:
    """Let the test merge the predictions for several views of each image.

    ``tta_pipeline`` of the config makes the views, its ``tta_model`` merges them, as in mmdet's
    and mmpretrain's scripts.

    Raises:
        UserError: The config lacks one of the two.
    """
    missing = [key for key in ("tta_model", "tta_pipeline") if not cfg.get(key)]
    if missing:
        raise UserError(f"test-time augmentation needs {' and '.join(missing)} in the config")
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def draw_test(cfg: Config, folder: str) -> None:
    """Let the test draw its predictions into ``folder``, by the hook of the config's toolkit."""
    hook = cfg.default_hooks.visualization
    if hook.type == "DetVisualizationHook":
        # The hook would put a relative folder into the work dir.
        hook.update(draw=True, test_out_dir=str(Path(folder).absolute()))
    else:
        hook.update(enable=True, out_dir=folder)


def check_mmcv_operators() -> None:
    """Refuse an mmcv without operators; mmdet would only at the first prediction, after an epoch.

    Raises:
        UserError: ``mmcv._ext`` cannot be imported.
    """
    with blame_config(), needs(*MMCV_OPERATORS, user="detection"):
        import mmcv._ext  # noqa: F401


def drop_marks(node: object) -> None:
    """Remove what mmengine notes in all dicts of a config that was inherited by its name in our
    scope.

    It changes nothing where objects are built, but functions, such as those that collate a batch,
    would be called with it.
    """
    if isinstance(node, dict):
        if node.get("_scope_") == SCOPE:
            del node["_scope_"]
        node = node.values()
    elif not isinstance(node, (list, tuple)):
        return
    for inner in node:
        drop_marks(inner)


def build_runner(cfg: Config) -> Runner:
    """Build the config's Runner, on CPUs also for several processes.

    Raises:
        UserError: A key or value of the config does not fit what it is for; neck, head or anchors
            do not fit the backbone, see :func:`mmhadaptive.engine.check_shapes`; or the config is
            of a detector, and mmcv has no operators.
    """
    drop_marks(cfg._cfg_dict)
    if cfg.get("default_scope") == "mmdet":
        check_mmcv_operators()
    if cfg.launcher == "pytorch" and not torch.cuda.is_available():
        # mmengine would select a CUDA device; a process group that exists already it leaves alone.
        torch.distributed.init_process_group("gloo")
        cfg.setdefault(
            "model_wrapper_cfg",
            dict(
                type="MMDistributedDataParallel",
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=cfg.get("find_unused_parameters", False),
            ),
        )
    with blame_config():
        runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    # What the Runner builds later out of the config.
    for part in ("train_loop", "val_loop", "test_loop", "optim_wrapper", "param_scheduler"):
        build = f"build_{part}"
        setattr(runner, build, blame_config()(getattr(runner, build)))
    quiet_logger(runner.logger)
    check_shapes(runner.model, cfg.get("model"))
    runner.register_hook(MovedWorkDirHook())
    return runner


@contextmanager
def blame_pictures() -> Iterator[None]:
    """Within, a picture that mmcv could not decode, also in a worker, is a :class:`UserError`."""
    try:
        yield
    except AssertionError as error:
        name = re.search(r"failed to load image: (.*)", str(error))
        if name is None:
            raise
        raise UserError(f"{name[1]} does not decode as an image") from error


def train(cfg: Config) -> None:
    """Train by a config, and leave ``run.json`` beside the logs: what repeats the run."""
    runner = build_runner(cfg)
    if is_main_process():
        for path in remove_unfinished(runner.work_dir):
            runner.logger.info(f"removed {path}, which a run that was killed left")
        write_record(Path(runner.log_dir) / "run.json", config=cfg.filename)
    with blame_pictures():
        runner.train()
    del runner
    leave_process_group()


def leave_process_group() -> None:
    """Wait for the other processes, if there are any, and end the communication with them.

    To be called at the end of a script that succeeded, when it has let go of its Runner and of all
    models that were wrapped. A process that exits without it may abort, and its launcher then kills
    those that still write their results.
    """
    if is_distributed():
        barrier()
        # A wrapped model that is freed last ends the group with the interpreter locked, and waits
        # forever for a thread of gloo that wants the lock for what it frees itself.
        gc.collect()
        torch.distributed.destroy_process_group()
