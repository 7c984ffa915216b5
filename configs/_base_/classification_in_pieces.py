# Runtime for a GPU that is lent for minutes: a checkpoint every 100 seconds from which
# --resume continues, in the middle of an epoch too. stop_seconds ends the run after that time.
_base_ = "classification_runtime.py"
default_hooks = dict(
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None)
)
