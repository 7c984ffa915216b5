_base_ = [
    "mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_large_imagenet.py",
    "../../_base_/imagenet.py",
]
model = dict(head=_base_.head)
