"""The temperature update of Algorithm 1 in mmengine's Runner, and what is logged of the choice."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.registry import HOOKS
from torch import Tensor, nn

from mmhadaptive.layers import adapt_temperature, adaptive_layers, selection_entropy

from ..schedule import optim_wrappers
from ..unwrap import unwrap

#: Beside the Runner's scalars.json: a line of JSON for each logged iteration.
SELECTION_LOG = "selection.jsonl"


@HOOKS.register_module()
class AdaptTemperatureHook(Hook):
    """Adapt the temperatures of all cross-Hadamard layers at every optimizer step.

    mmengine clears the gradients right after the step, so they are read by a pre-hook of the
    optimizer itself; see :func:`mmhadaptive.layers.adapt_temperature`. The mean temperature is
    logged as ``tau``, wherever the Runner's ``LoggerHook`` logs.

    In the same iterations ``vis_data/selection.jsonl`` gets a line ``{"step", "epoch",
    "layers"}``, where ``layers`` has of each layer by name ``channels`` (their number ``C``),
    ``tau``, ``entropy`` and ``information``: those of
    :func:`~mmhadaptive.layers.selection_entropy` over the scores of this iteration's batch, in
    bits. They are read from the pass of the training, before the noise, so no random number
    changes and no layer runs twice; of several processes the first writes those of its part of
    the batch. In a model that mmengine compiles, and of a layer that no picture reached, both are
    null.

    Args:
        log_selection: Whether that file is written.
    """

    def __init__(self, log_selection: bool = True) -> None:
        self.log_selection = log_selection
        self.handles = []
        self._listeners = []
        self._scores: dict[nn.Module, Tensor] = {}

    def before_train(self, runner) -> None:
        wrappers = optim_wrappers(runner.optim_wrapper)
        self.handles = [adapt_temperature(runner.model, each.optimizer) for each in wrappers]

    def _logs(self, runner, batch_idx: int) -> bool:
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        return any(self.every_n_inner_iters(batch_idx, hook.interval) for hook in loggers) or (
            self.end_of_epoch(runner.train_dataloader, batch_idx)
        )

    def _writes(self, runner) -> bool:
        return self.log_selection and is_main_process() and runner.log_dir is not None

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        # A hook would have a compiled model compiled again.
        if runner.cfg.get("compile") or not self._writes(runner):
            return
        if self._logs(runner, batch_idx):
            for layer in adaptive_layers(runner.model):
                self._listeners.append(layer.scores.register_forward_hook(self._keep))

    def _keep(self, scores: nn.Module, inputs: tuple, output: Tensor) -> None:
        self._scores[scores] = output.detach()

    def _forget(self) -> None:
        for listener in self._listeners:
            listener.remove()
        self._listeners = []
        self._scores = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        # Only there, since reading a temperature waits for the GPU.
        if not self._logs(runner, batch_idx):
            return
        taus = [layer.temperature.tau.item() for layer in adaptive_layers(runner.model)]
        if taus:
            runner.message_hub.update_scalar("train/tau", sum(taus) / len(taus))
            if self._writes(runner):
                self._write(runner, taus)
        self._forget()

    @torch.no_grad()
    def _write(self, runner, taus: list[float]) -> None:
        model = unwrap(runner.model)
        names = {module: name for name, module in model.named_modules()}
        layers = {}
        for layer, tau in zip(adaptive_layers(model), taus, strict=True):
            entropy = information = None
            if layer.scores in self._scores:
                both = torch.stack(selection_entropy(self._scores[layer.scores]))
                entropy, information = (round(value, 4) for value in both.tolist())
            layers[names[layer]] = dict(
                channels=layer.in_channels, tau=tau, entropy=entropy, information=information
            )
        # As mmengine's LoggerHook counts.
        line = dict(step=runner.iter + 1, epoch=runner.epoch + 1, layers=layers)
        path = Path(runner.log_dir, "vis_data", SELECTION_LOG)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def after_train(self, runner) -> None:
        self._forget()
        for handle in self.handles:
            handle.remove()
        self.handles = []
