_base_ = ["../../_base_/models/shufflenetv2_1x_ach.py", "../../_base_/cifar100_10pct_32px.py"]
model = dict(model=dict(head=_base_.head), input_size=32)
