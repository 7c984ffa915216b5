"""Training and checkpoint files: importing this package registers hooks and safe file access."""

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
from .pretrained_init import load_pretrained
from .resumable_train_loop import ResumableTrainLoop
from .safe_checkpoint import load_checkpoint_file

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
    "load_checkpoint_file",
    "load_pretrained",
]
