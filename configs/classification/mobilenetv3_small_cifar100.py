# The paper's number (Table 7): 70.01 % top-1 with 1.62 M parameters and 56 M MACs.
_base_ = [
    "mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py",
    "../_base_/datasets/cifar100_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(head=dict(num_classes=100, loss=_base_.loss))
