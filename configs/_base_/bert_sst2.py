# A BERT by the recipe of Table 13, for SST-2. A config adds layers and feed-forward.
_base_ = [
    "datasets/glue.py",
    "schedules/adamw_3e.py",
    "default_runtime.py",
    "text_runtime.py",
]
model = dict(type="BERTClassifier", num_labels=2)
default_hooks = dict(
    # stop_seconds ends the run after that time.
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None),
)
