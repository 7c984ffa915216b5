"""The schedule of a run that resumes with epochs of another length."""

from __future__ import annotations

import warnings
from itertools import chain

from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from mmhadaptive.io.user_errors import UserValueError


def optim_wrappers(wrapper: OptimWrapper) -> list[OptimWrapper]:
    """The wrappers of the single optimizers."""
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def replay_schedule(runner: Runner, done: int) -> None:
    """Bring the learning rate to where it were, had all epochs had the present length.

    A checkpoint holds schedulers that count iterations in epochs of the length they had then. They
    are built anew from the config, with the optimizer's settings (and with ``auto_scale_lr``, which
    knows the present batch), and stepped once for every iteration. The optimizer's state, such as
    its momentum, stays.

    Args:
        runner: A Runner that has resumed from the checkpoint.
        done: Iterations of the present epoch.

    Raises:
        ValueError: A scheduler follows the results of validations, which cannot be repeated.
    """
    runner.param_schedulers = runner.cfg.get("param_scheduler")
    new = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
    runner.scale_lr(new, runner.auto_scale_lr)
    pairs = zip(optim_wrappers(runner.optim_wrapper), optim_wrappers(new), strict=True)
    for old, fresh in pairs:
        for group, settings in zip(old.param_groups, fresh.param_groups, strict=True):
            group.clear()
            group.update(settings)
    if runner.param_schedulers is None:
        return
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    built = runner.param_schedulers
    for scheduler in chain(*built.values()) if isinstance(built, dict) else built:
        if getattr(scheduler, "need_val_args", False):
            raise UserValueError(
                f"{type(scheduler).__name__} cannot resume with epochs of another length: set the "
                "batch size and the number of processes of the checkpoint"
            )
    hook = ParamSchedulerHook()
    with warnings.catch_warnings():
        # Of schedulers that step before their optimizer.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(runner.epoch):
            for index in range(len(runner.train_dataloader)):
                hook.after_train_iter(runner, index)
            hook.after_train_epoch(runner)
        for index in range(done):
            hook.after_train_iter(runner, index)
