# Table 8: a cross-Hadamard feed-forward in the middle four of MobileViT's nine encoders, which are
# those of the middle MobileViT block (the blocks have 2, 4 and 3). A config adds one of
# mmpretrain's MobileViTs and puts this around its model.
custom_imports = dict(imports=["mmhadaptive.models.replacement", "mmhadaptive.engine"])
feed_forward = dict(type="ACHFeedForward", act_cfg=dict(type="Swish"))
replacement = dict(
    type="ReplaceBlocks",
    replace=[
        dict(target="backbone.layers.3.1.global_rep.0.ffn", block=feed_forward),
        dict(target="backbone.layers.3.1.global_rep.1.ffn", block=feed_forward),
        dict(target="backbone.layers.3.1.global_rep.2.ffn", block=feed_forward),
        dict(target="backbone.layers.3.1.global_rep.3.ffn", block=feed_forward),
    ],
    input_size=256,
)
# New names among default_hooks keep every hook of the base.
hooks = dict(adapt_temperature=dict(type="AdaptTemperatureHook"))
