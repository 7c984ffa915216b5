# Table 5: the last two blocks of ShuffleNetV2-1.0. The branch that computes is replaced; split,
# concatenation and shuffle stay. The branch expands nothing, so num_selected=16 is ours.
# Accuracy of the paper, from a public summary of it: 65.89 before, 71.68 after.
_base_ = "../classification/shufflenetv2_1x_cifar100.py"

custom_imports = dict(
    imports=[*_base_.custom_imports.imports, "mmhadaptive.models.replacement"],
)
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=_base_.model,
    replace=[
        dict(
            target=["backbone.layers.2.2.branch2", "backbone.layers.2.3.branch2"],
            block=dict(type="ACHBottleneck", num_selected=16, act_cfg=dict(type="ReLU")),
        ),
    ],
)
