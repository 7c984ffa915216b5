# Table 8: MobileViT-XXS with a cross-Hadamard feed-forward in the middle four of its nine encoders:
# those of the middle MobileViT block (the blocks have 2, 4 and 3).
_base_ = "mmpretrain::mobilevit/mobilevit-xxsmall_8xb128_in1k.py"

custom_imports = dict(imports=["mmhadaptive.models.replacement", "mmhadaptive.engine"])
model = dict(
    _delete_=True,
    type="ReplaceBlocks",
    model=_base_.model,
    replace=[
        dict(
            target="backbone.layers.3.1.global_rep.0.ffn",
            block=dict(type="ACHFeedForward", act_cfg=dict(type="Swish")),
        ),
        dict(
            target="backbone.layers.3.1.global_rep.1.ffn",
            block=dict(type="ACHFeedForward", act_cfg=dict(type="Swish")),
        ),
        dict(
            target="backbone.layers.3.1.global_rep.2.ffn",
            block=dict(type="ACHFeedForward", act_cfg=dict(type="Swish")),
        ),
        dict(
            target="backbone.layers.3.1.global_rep.3.ffn",
            block=dict(type="ACHFeedForward", act_cfg=dict(type="Swish")),
        ),
    ],
    input_size=256,
)
default_hooks = dict(adapt_temperature=dict(type="AdaptTemperatureHook"))
