# Blocks 9 and 10 of MobileNetV3-S, counted from 0, in mmpretrain's network: what
# docs/results/replacement_cifar100.json records.
_base_ = ["../../_base_/models/mobilenetv3_small_ach.py", "../../_base_/cifar100_10pct_32px.py"]
model = dict(
    model=dict(backbone=dict(type="MobileNetV3"), head=_base_.head),
    replace=[dict(target=["backbone.layer10", "backbone.layer11"], block=_base_.block)],
    input_size=32,
)
