# The paper's search on CIFAR-100, at 224x224 from memory. A config adds a supernet and gives it the
# head's settings.
_base_ = [
    "datasets/cifar100_224.py",
    "schedules/gdas_250e.py",
    "default_runtime.py",
    "classification_runtime.py",
]
custom_imports = dict(imports=[*_base_.custom_imports.imports, "mmhadaptive.nas"])
# Nothing is validated: both halves are trained on, and the test set is not touched.
val_dataloader = None
val_evaluator = None
test_dataloader = None
test_evaluator = None
default_hooks = dict(
    checkpoint=dict(save_best=None),
    # stop_seconds ends the run after that time.
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None),
    # Trains what is found.
    search_result=dict(
        type="SearchResultHook",
        train_config="mmhadaptive::classification/cifar100/hadaptive_s_cifar100.py",
    ),
)
head = dict(num_classes=100, loss=_base_.loss)
