"""The temperature update of Algorithm 1 in mmengine's Runner."""

from __future__ import annotations

from mmengine.hooks import Hook, LoggerHook
from mmengine.registry import HOOKS

from mmhadaptive.layers import adapt_temperature, adaptive_layers

from ..schedule import optim_wrappers


@HOOKS.register_module()
class AdaptTemperatureHook(Hook):
    """Adapt the temperatures of all cross-Hadamard layers at every optimizer step.

    mmengine clears the gradients right after the step, so they are read by a pre-hook of the
    optimizer itself; see :func:`mmhadaptive.layers.adapt_temperature`. The mean temperature is
    logged as ``tau``, wherever the Runner's ``LoggerHook`` logs.
    """

    def __init__(self) -> None:
        self.handles = []

    def before_train(self, runner) -> None:
        wrappers = optim_wrappers(runner.optim_wrapper)
        self.handles = [adapt_temperature(runner.model, each.optimizer) for each in wrappers]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        # Only there, since reading a temperature waits for the GPU.
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        if any(self.every_n_inner_iters(batch_idx, hook.interval) for hook in loggers) or (
            self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            taus = [layer.temperature.tau.item() for layer in adaptive_layers(runner.model)]
            if taus:
                runner.message_hub.update_scalar("train/tau", sum(taus) / len(taus))

    def after_train(self, runner) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []
