# Table 5: the last two blocks of StarNet-S1 by cross-Hadamard ones, with the kernel of the old one
# and the smallest num_selected that reaches its width; se_ratio=8 comes closest to the paper.
_base_ = "timm_classifier.py"
block = dict(type="ACHBottleneck", se_ratio=8, se_divisor=8, act_cfg=dict(type="ReLU6"))
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=dict(_base_.model, model_name="starnet_s1"),
    replace=[dict(target=["model.stages.3.2", "model.stages.3.3"], block=block)],
)
