# Table 5: the last two blocks of StarNet-S1 by cross-Hadamard ones.
# Accuracy of the paper, from a public summary of it: 71.84 before, 72.07 after.
_base_ = "../classification/starnet_s1_cifar100.py"

custom_imports = dict(
    imports=[*_base_.custom_imports.imports, "mmhadaptive.models.replacement"],
)
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=_base_.model,
    replace=[
        dict(
            target=["model.stages.3.2", "model.stages.3.3"],
            block=dict(type="ACHBottleneck", act_cfg=dict(type="ReLU6")),
        ),
    ],
)
