# Table 2: block 8 of MobileNetV3-S, counted from 0, by cross-Hadamard ones.
# num_selected is the smallest that reaches the width of the old block; squeeze-and-excitation,
# activation and kernel are those of the old block.
_base_ = "../classification/mobilenetv3_small_cifar100.py"

custom_imports = dict(
    imports=[*_base_.custom_imports.imports, "mmhadaptive.models.replacement"],
)
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=_base_.model,
    replace=[
        dict(
            target="backbone.layer9",
            block=dict(
                type="ACHBottleneck", se_ratio=4, norm_cfg=dict(type="BN", eps=0.001, momentum=0.01)
            ),
        ),
    ],
)
