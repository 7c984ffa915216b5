# Table 5: the last two blocks of ShuffleNetV2-1.0. The branch that computes is replaced; split,
# concatenation and shuffle stay. The paper's replaced network is smaller than the original, which
# no expansion with a 1x1 convolution is, since the branch widens nothing: so that convolution is
# left out, and num_selected=12 gives the paper's parameters, though not its FLOPs.
_base_ = "mmpretrain::_base_/models/shufflenet_v2_1x.py"
block = dict(
    type="ACHBottleneck",
    num_selected=12,
    act_cfg=dict(type="ReLU"),
    ach_cfg=dict(pointwise=False),
)
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=_base_.model,
    replace=[
        dict(
            target=["backbone.layers.2.2.branch2", "backbone.layers.2.3.branch2"],
            block=block,
        )
    ],
)
