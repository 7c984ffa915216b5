"""Hooks, registered in mmengine's HOOKS."""

from .adapt_temperature_hook import AdaptTemperatureHook
from .channels_last_hook import ChannelsLastHook
from .check_checkpoint_hook import CheckCheckpointHook, check_state_dict
from .epoch_seed_hook import EpochSeedHook

__all__ = [
    "AdaptTemperatureHook",
    "ChannelsLastHook",
    "CheckCheckpointHook",
    "EpochSeedHook",
    "check_state_dict",
]
