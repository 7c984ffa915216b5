# Hadaptive-Net-L ends at stride 64, so one extra layer is enough.
_base_ = "ssd_hadaptive_s.py"
model = dict(
    backbone=dict(arch="l", out_indices=(2, 3, 4, 5)),
    neck=dict(
        in_channels=(96, 192, 256, 256),
        out_channels=(96, 192, 256, 256, 128),
        level_strides=(2,),
        level_paddings=(1,),
    ),
    bbox_head=dict(in_channels=(96, 192, 256, 256, 128)),
)
