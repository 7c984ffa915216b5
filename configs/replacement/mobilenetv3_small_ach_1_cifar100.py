# Table 2: block 1 of MobileNetV3-S, counted from 0.
# The old block has no squeeze-and-excitation.
_base_ = ["../_base_/models/mobilenetv3_small_ach.py", "../_base_/cifar100.py"]
model = dict(
    model=dict(head=_base_.head),
    replace=[
        dict(
            target="backbone.layer2",
            block=dict(type="ACHBottleneck", act_cfg=dict(type="ReLU"), norm_cfg=_base_.norm_cfg),
        )
    ],
)
