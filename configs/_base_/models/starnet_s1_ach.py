# Table 5: the last two blocks of StarNet-S1 by cross-Hadamard ones.
_base_ = "timm_classifier.py"
block = dict(type="ACHBottleneck", act_cfg=dict(type="ReLU6"))
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=dict(_base_.model, model_name="starnet_s1"),
    replace=[
        dict(target="model.stages.3.2", block=block),
        dict(target="model.stages.3.3", block=block),
    ],
)
