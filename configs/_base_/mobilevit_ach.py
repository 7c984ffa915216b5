# Table 8: a cross-Hadamard feed-forward in the middle four of MobileViT's nine encoders, which are
# those of the middle MobileViT block (the blocks have 2, 4 and 3). A config adds a MobileViT and
# puts this around its model. num_selected is the largest whose width does not exceed the old one.
replacement = dict(
    type="ReplaceBlocks",
    replace=[
        dict(
            target=[
                "backbone.layers.3.1.global_rep.0.ffn",
                "backbone.layers.3.1.global_rep.1.ffn",
                "backbone.layers.3.1.global_rep.2.ffn",
                "backbone.layers.3.1.global_rep.3.ffn",
            ],
            block=dict(type="ACHFeedForward", act_cfg=dict(type="Swish")),
        ),
    ],
)
