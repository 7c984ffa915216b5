# Tables 2 and 5: blocks 9 and 10 of MobileNetV3-S, counted from 0.
_base_ = ["../../_base_/models/mobilenetv3_small_ach.py", "../../_base_/cifar100_64px_20e.py"]
model = dict(
    model=dict(head=_base_.head),
    replace=[
        dict(target="backbone.layer10", block=_base_.block),
        dict(target="backbone.layer11", block=_base_.block),
    ],
    input_size=64,
)
