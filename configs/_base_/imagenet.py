# The recipe on ImageNet-1k: mmpretrain's pipeline, AdamW for 200 epochs. A config adds a network
# and gives it the head's settings.
_base_ = [
    "datasets/imagenet_224.py",
    "schedules/adamw_200e.py",
    "default_runtime.py",
    "classification_runtime.py",
]
default_hooks = dict(visualization=_base_.visualization)
head = dict(num_classes=1000, loss=_base_.loss)
