# The paper's number (Table 7, ImageNet-1k): not at hand.
_base_ = [
    "mmpretrain::_base_/models/shufflenet_v2_1x.py",
    "../_base_/datasets/imagenet_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(head=dict(loss=_base_.loss))
