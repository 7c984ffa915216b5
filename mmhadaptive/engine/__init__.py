"""Training: importing this package registers hooks and installs safe file access in mmengine."""

import mmhadaptive.registry  # noqa: F401  the scope of the configs

from .atomic_backend import AtomicLocalBackend
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .hooks import (
    AdaptTemperatureHook,
    ChannelsLastHook,
    CheckCheckpointHook,
    CheckLossHook,
    CheckShapesHook,
    EpochSeedHook,
    MovedWorkDirHook,
    TimedCheckpointHook,
    check_shapes,
    check_state_dict,
)
from .install import install
from .resumable_train_loop import ResumableTrainLoop

__all__ = [
    "AdaptTemperatureHook",
    "AtomicLocalBackend",
    "BFloat16OptimWrapper",
    "ChannelsLastHook",
    "CheckCheckpointHook",
    "CheckLossHook",
    "CheckShapesHook",
    "EpochSeedHook",
    "MovedWorkDirHook",
    "ResumableTrainLoop",
    "TimedCheckpointHook",
    "check_shapes",
    "check_state_dict",
    "install",
]

install()
