"""The temperature update of Algorithm 1 in mmengine's Runner."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS

from mmhadaptive.layers import adapt_temperature, adaptive_layers


@HOOKS.register_module()
class AdaptTemperatureHook(Hook):
    """Adapt the temperatures of all cross-Hadamard layers at every optimizer step.

    mmengine clears the gradients right after the step, so they are read by a pre-hook of the
    optimizer itself; see :func:`mmhadaptive.layers.adapt_temperature`. The mean temperature is
    logged as ``tau``.

    Args:
        log_interval: Iterations between two logged temperatures.
    """

    def __init__(self, log_interval: int = 50) -> None:
        self.log_interval = log_interval
        self.handles = []

    def before_train(self, runner) -> None:
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        self.handles = [adapt_temperature(runner.model, each.optimizer) for each in wrappers]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.every_n_train_iters(runner, self.log_interval):
            taus = [layer.temperature.tau.item() for layer in adaptive_layers(runner.model)]
            if taus:
                runner.message_hub.update_scalar("train/tau", sum(taus) / len(taus))

    def after_train(self, runner) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []
