# Blocks with the kernel and, at least, the width of the old ones: what
# docs/results/replacement_cifar100.json records.
_base_ = [
    "../../_base_/models/mobilenetv4_conv_small_ach.py",
    "../../_base_/cifar100_10pct_32px.py",
]
model = dict(
    model=_base_.head,
    replace=[
        dict(
            target=["model.blocks.3.4", "model.blocks.3.5"],
            block=dict(type="ACHBottleneck", act_cfg=dict(type="ReLU")),
        )
    ],
    input_size=32,
)
