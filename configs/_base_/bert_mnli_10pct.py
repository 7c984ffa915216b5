# A BERT by the recipe of Table 13, for MNLI: a tenth of the training set, of every class, and the
# whole matched validation set. A config adds layers and feed-forward.
_base_ = [
    "datasets/glue.py",
    "schedules/adamw_3e.py",
    "default_runtime.py",
    "text_runtime.py",
]
data_root = "data/glue/MNLI"
train_dataloader = dict(
    dataset=dict(data_root=data_root, task="mnli", fraction=0.1, subset_seed=0),
)
val_dataloader = dict(dataset=dict(data_root=data_root, task="mnli", split="dev_matched"))
test_dataloader = val_dataloader
model = dict(type="BERTClassifier", num_labels=3)
default_hooks = dict(
    # stop_seconds ends the run after that time.
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None),
)
