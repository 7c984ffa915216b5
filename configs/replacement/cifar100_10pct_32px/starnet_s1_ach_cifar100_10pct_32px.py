# Blocks without squeeze-and-excitation: what docs/results/replacement_cifar100.json records.
_base_ = ["../../_base_/models/starnet_s1_ach.py", "../../_base_/cifar100_10pct_32px.py"]
model = dict(
    model=_base_.head,
    replace=[
        dict(
            target=["model.stages.3.2", "model.stages.3.3"],
            block=dict(type="ACHBottleneck", act_cfg=dict(type="ReLU6")),
        )
    ],
    input_size=32,
)
