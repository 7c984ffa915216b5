_base_ = ["../_base_/models/mobilenetv4_conv_small_ach.py", "../_base_/cifar100.py"]
model = dict(model=_base_.head)
