"""Feature maps with the channels of a pixel side by side in memory."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.nn.parallel import DistributedDataParallel


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Run the network in the channels_last memory format.

    Convolutions with weights in this format produce it, whatever the images have. It changes the
    speed, not the result beyond rounding: depthwise convolutions on a CPU and half precision on a
    GPU gain most.
    """

    def before_run(self, runner) -> None:
        model = runner.model
        if not isinstance(model, DistributedDataParallel):
            model.to(memory_format=torch.channels_last)
            return
        # The buckets of the gradients have the layout that the weights had when they were wrapped;
        # after a change the first step would take scrambled gradients of some convolutions.
        module = model.module.to(memory_format=torch.channels_last)
        runner.model = runner.wrap_model(runner.cfg.get("model_wrapper_cfg"), module)
