# gdas_cifar100.py at 64x64 for 60 epochs: a search that a CPU can do. The logits have as far to go
# as in 250 epochs, so their learning rate is 250 / 60 times as large. That of the weights is the
# one of the classification recipe: at 3e-3 the loss stays at that of chance longer.
_base_ = [
    "datasets/cifar100_224.py",
    "schedules/gdas_250e.py",
    "default_runtime.py",
    "classification_runtime.py",
]
custom_imports = dict(imports=[*_base_.custom_imports.imports, "mmhadaptive.nas"])
data_preprocessor = dict(size=64)
max_epochs = 60
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(
    weights=dict(optimizer=dict(lr=0.001)), alphas=dict(optimizer=dict(lr=0.00125))
)
param_scheduler = _base_.param_scheduler
param_scheduler.weights[0].end = param_scheduler.weights[0].T_max = max_epochs
val_dataloader = None
val_evaluator = None
test_dataloader = None
test_evaluator = None
default_hooks = dict(
    checkpoint=dict(save_best=None),
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None),
    search_result=dict(
        type="SearchResultHook",
        train_config="mmhadaptive::classification/cifar100_64px/hadaptive_s_cifar100_64px.py",
    ),
)
head = dict(num_classes=100, loss=_base_.loss)
