# Blocks with the 1x1 convolution and 16 channels: what docs/results/replacement_cifar100.json
# records.
_base_ = ["../../_base_/models/shufflenetv2_1x_ach.py", "../../_base_/cifar100_10pct_32px.py"]
model = dict(
    model=dict(head=_base_.head),
    replace=[
        dict(
            target=["backbone.layers.2.2.branch2", "backbone.layers.2.3.branch2"],
            block=dict(type="ACHBottleneck", num_selected=16, act_cfg=dict(type="ReLU")),
        )
    ],
    input_size=32,
)
