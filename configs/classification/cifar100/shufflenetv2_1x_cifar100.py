_base_ = ["mmpretrain::_base_/models/shufflenet_v2_1x.py", "../../_base_/cifar100.py"]
model = dict(head=_base_.head)
