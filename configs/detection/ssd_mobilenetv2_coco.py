# Strides 8, 16 and 32 end with stages 2, 4 and the last convolution.
_base_ = ["../_base_/models/ssd_hadaptive_s.py", "../_base_/coco.py"]
model = dict(
    backbone=dict(_delete_=True, type="MobileNetV2", out_indices=(2, 4, 7)),
    neck=dict(in_channels=(32, 96, 1280), out_channels=(32, 96, 1280, 128, 128)),
    bbox_head=dict(in_channels=(32, 96, 1280, 128, 128)),
)
