# timm's network, with the features at strides 8, 16 and 32.
_base_ = ["../_base_/models/ssd_hadaptive_s.py", "../_base_/coco.py"]
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmpretrain.TIMMBackbone",
        model_name="ghostnetv3_100",
        features_only=True,
        out_indices=(2, 3, 4),
    ),
    neck=dict(in_channels=(40, 80, 160), out_channels=(40, 80, 160, 128, 128)),
    bbox_head=dict(in_channels=(40, 80, 160, 128, 128)),
)
