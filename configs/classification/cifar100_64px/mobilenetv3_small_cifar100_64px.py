# The original of mobilenetv3_small_ach_9_10_cifar100_64px.py.
_base_ = [
    "mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py",
    "../../_base_/cifar100_64px_20e.py",
]
model = dict(backbone=dict(type="UnroundedMobileNetV3"), head=_base_.head)
