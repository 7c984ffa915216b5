"""Hooks, registered in mmengine's HOOKS."""

from .adapt_temperature_hook import AdaptTemperatureHook
from .check_checkpoint_hook import CheckCheckpointHook, check_state_dict
from .epoch_seed_hook import EpochSeedHook

__all__ = ["AdaptTemperatureHook", "CheckCheckpointHook", "EpochSeedHook", "check_state_dict"]
