# CIFAR-100 at 64x64 for 10 epochs: a short training that a CPU can do, of networks to compare
# with each other. Otherwise the recipe of cifar100.py.
_base_ = [
    "datasets/cifar100_224.py",
    "schedules/adamw_200e.py",
    "default_runtime.py",
    "classification_runtime.py",
]
data_preprocessor = dict(size=64)
test_pipeline = _base_.test_pipeline
test_pipeline[0].scale = 64
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
max_epochs = 10
# 5 % of the epochs.
warmup_epochs = 0.5
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = warmup_epochs
param_scheduler[1].end = max_epochs
param_scheduler[1].T_max = max_epochs - warmup_epochs
default_hooks = dict(
    visualization=_base_.visualization,
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None),
)
head = dict(num_classes=100, loss=_base_.loss)
