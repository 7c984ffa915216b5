# Strides 8, 16 and 32 end with layers 3, 8 and the last convolution.
_base_ = ["../_base_/models/ssd_hadaptive_s.py", "../_base_/coco.py"]
model = dict(
    backbone=dict(
        _delete_=True, type="mmpretrain.MobileNetV3", arch="small", out_indices=(3, 8, 12)
    ),
    neck=dict(in_channels=(24, 48, 576), out_channels=(24, 48, 576, 128, 128)),
    bbox_head=dict(in_channels=(24, 48, 576, 128, 128)),
)
