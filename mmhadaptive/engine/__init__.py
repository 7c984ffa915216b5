"""Training and checkpoint files: importing this package registers hooks and safe file access."""

from .atomic_backend import AtomicLocalBackend
from .hooks import AdaptTemperatureHook, CheckCheckpointHook, EpochSeedHook, check_state_dict
from .safe_checkpoint import load_checkpoint_file

__all__ = [
    "AdaptTemperatureHook",
    "AtomicLocalBackend",
    "CheckCheckpointHook",
    "EpochSeedHook",
    "check_state_dict",
    "load_checkpoint_file",
]
