"""Hooks, registered in mmengine's HOOKS."""

from .adapt_temperature_hook import AdaptTemperatureHook
from .channels_last_hook import ChannelsLastHook
from .check_checkpoint_hook import CheckCheckpointHook, check_state_dict
from .check_loss_hook import CheckLossHook
from .check_shapes_hook import CheckShapesHook, check_shapes
from .epoch_seed_hook import EpochSeedHook
from .moved_work_dir_hook import MovedWorkDirHook
from .timed_checkpoint_hook import TimedCheckpointHook

__all__ = [
    "AdaptTemperatureHook",
    "ChannelsLastHook",
    "CheckCheckpointHook",
    "CheckLossHook",
    "CheckShapesHook",
    "EpochSeedHook",
    "MovedWorkDirHook",
    "TimedCheckpointHook",
    "check_shapes",
    "check_state_dict",
]
