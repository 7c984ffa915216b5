# Table 5: the last two blocks of MobileNetV4-conv-S by cross-Hadamard ones, as large as gives the
# paper's counts.
_base_ = "timm_classifier.py"
block = dict(
    type="ACHBottleneck",
    num_selected=32,
    kernel_size=5,
    se_ratio=4,
    se_divisor=8,
    act_cfg=dict(type="ReLU"),
)
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=dict(_base_.model, model_name="mobilenetv4_conv_small"),
    replace=[dict(target=["model.blocks.3.4", "model.blocks.3.5"], block=block)],
)
