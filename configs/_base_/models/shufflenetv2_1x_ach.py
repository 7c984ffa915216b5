# Table 5: the last two blocks of ShuffleNetV2-1.0. The branch that computes is replaced; split,
# concatenation and shuffle stay. The branch expands nothing, so num_selected=16 is ours.
_base_ = "mmpretrain::_base_/models/shufflenet_v2_1x.py"
block = dict(type="ACHBottleneck", num_selected=16, act_cfg=dict(type="ReLU"))
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=_base_.model,
    replace=[
        dict(target="backbone.layers.2.2.branch2", block=block),
        dict(target="backbone.layers.2.3.branch2", block=block),
    ],
)
