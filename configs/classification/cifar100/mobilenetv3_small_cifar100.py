_base_ = [
    "mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py",
    "../../_base_/cifar100.py",
]
model = dict(head=_base_.head)
