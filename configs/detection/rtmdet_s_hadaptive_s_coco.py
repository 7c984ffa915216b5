# mmdet's RTMDet-s on Hadaptive-Net-S, from random weights.
_base_ = "mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py"

custom_imports = dict(
    imports=["mmhadaptive.models.backbones", "mmhadaptive.engine"], allow_failed_imports=False
)
model = dict(
    # _delete_ drops CSPNeXt's arguments, its weights from ImageNet among them; the normalisation
    # over all GPUs stays that of the detector.
    backbone=dict(
        _delete_=True,
        type="HadaptiveNet",
        arch="s",
        out_indices=(2, 3, 4),
        norm_cfg=dict(type="SyncBN"),
    ),
    # The channels at strides 8, 16 and 32.
    neck=dict(in_channels=[64, 96, 128]),
)
# A new name among default_hooks keeps every hook of the detector; custom_hooks would replace them.
default_hooks = dict(adapt_temperature=dict(type="AdaptTemperatureHook"))
