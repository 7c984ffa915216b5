# The recipe on CIFAR-100: images from memory, AdamW for 200 epochs, and a checkpoint every 100
# seconds from which --resume continues, in the middle of an epoch too. A config adds a network
# and gives it the head's settings.
_base_ = [
    "datasets/cifar100_224.py",
    "schedules/adamw_200e.py",
    "default_runtime.py",
    "classification_runtime.py",
]
default_hooks = dict(
    visualization=_base_.visualization,
    # stop_seconds ends the run after that time.
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None),
)
head = dict(num_classes=100, loss=_base_.loss)
