_base_ = ["../_base_/models/starnet_s1_ach.py", "../_base_/cifar100.py"]
model = dict(model=_base_.head)
