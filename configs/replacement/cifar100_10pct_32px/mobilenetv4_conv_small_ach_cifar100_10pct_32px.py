_base_ = [
    "../../_base_/models/mobilenetv4_conv_small_ach.py",
    "../../_base_/cifar100_10pct_32px.py",
]
model = dict(model=_base_.head, input_size=32)
