"""Resumption in a work dir that has moved."""

from __future__ import annotations

from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


def in_work_dir(path: str, work_dir: str) -> str:
    """The file of that name in the work dir, if it is there, else ``path``."""
    here = Path(work_dir) / Path(path).name
    return str(here) if here.exists() else path


@HOOKS.register_module()
class MovedWorkDirHook(Hook):
    """Find the checkpoints of a work dir where they are now.

    mmengine notes their whole paths, which name the folder of the training, or depend on the folder
    from which it was started.
    """

    def before_run(self, runner) -> None:
        latest = Path(runner.work_dir) / "last_checkpoint"
        if runner._resume and runner._load_from is None and latest.exists():
            runner._load_from = in_work_dir(latest.read_text().strip(), runner.work_dir)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        # The best one is removed as soon as there is a better.
        info = checkpoint.get("message_hub", {}).get("runtime_info", {})
        for key in info:
            if key.startswith("best_ckpt"):
                info[key] = in_work_dir(info[key], runner.work_dir)
