# mmdet's RetinaNet on Hadaptive-Net-S, from random weights.
_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"

custom_imports = dict(
    imports=["mmhadaptive.models.backbones", "mmhadaptive.engine"], allow_failed_imports=False
)
model = dict(
    # _delete_ drops ResNet's arguments, its weights from ImageNet among them. Random weights need
    # normalisation that learns, over all GPUs where each has two pictures.
    backbone=dict(
        _delete_=True,
        type="HadaptiveNet",
        arch="s",
        out_indices=(1, 2, 3, 4),
        norm_cfg=dict(type="SyncBN"),
    ),
    # The channels at strides 4, 8, 16 and 32.
    neck=dict(in_channels=[32, 64, 96, 128]),
)
# A new name among default_hooks keeps every hook of the detector; custom_hooks would replace them.
default_hooks = dict(adapt_temperature=dict(type="AdaptTemperatureHook"))
