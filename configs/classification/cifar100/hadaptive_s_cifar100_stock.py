# The recipe with mmpretrain's data pipeline in place of images from memory. --resume continues
# from the ends of epochs.
_base_ = [
    "../../_base_/models/hadaptive_s_classifier.py",
    "../../_base_/datasets/cifar100_224_stock.py",
    "../../_base_/schedules/adamw_200e.py",
    "../../_base_/default_runtime.py",
    "../../_base_/classification_runtime.py",
]
default_hooks = dict(visualization=_base_.visualization)
model = dict(head=dict(num_classes=100, loss=_base_.loss))
