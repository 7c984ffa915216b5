# The paper's number (Table 5): 65.89 % top-1.
_base_ = [
    "mmpretrain::_base_/models/shufflenet_v2_1x.py",
    "../_base_/datasets/cifar100_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(head=dict(num_classes=100, loss=_base_.loss))
