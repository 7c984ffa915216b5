# Table 5: the last two blocks of MobileNetV4-conv-S by cross-Hadamard ones.
_base_ = "timm_classifier.py"
block = dict(type="ACHBottleneck", act_cfg=dict(type="ReLU"))
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=dict(_base_.model, model_name="mobilenetv4_conv_small"),
    replace=[
        dict(target="model.blocks.3.4", block=block),
        dict(target="model.blocks.3.5", block=block),
    ],
)
