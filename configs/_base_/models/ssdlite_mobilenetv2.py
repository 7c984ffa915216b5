# mmdet's SSDLite on MobileNetV2 (ssdlite_mobilenetv2-scratch_8xb24-600e_coco): maps at strides 16
# and 32, and four extra ones down to one pixel. Head, loss and initial scores are those of the SSD.
_base_ = "ssd_hadaptive_s.py"
channels = (96, 1280, 512, 256, 256, 128)
norm_cfg = dict(type="BN", eps=0.001, momentum=0.03)
relu6 = dict(type="ReLU6")
model = dict(
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        out_indices=(4, 7),
        norm_cfg=norm_cfg,
        init_cfg=dict(type="TruncNormal", layer="Conv2d", std=0.03),
    ),
    neck=dict(
        in_channels=channels[:2],
        out_channels=channels,
        level_strides=(2, 2, 2, 2),
        level_paddings=(1, 1, 1, 1),
        norm_cfg=norm_cfg,
        act_cfg=relu6,
        init_cfg=dict(type="TruncNormal", layer="Conv2d", std=0.03),
    ),
    bbox_head=dict(
        in_channels=channels,
        norm_cfg=norm_cfg,
        act_cfg=relu6,
        anchor_generator=dict(
            strides=[16, 32, 64, 107, 160, 320],
            ratios=[[2, 3]] * 6,
            min_sizes=[48, 100, 150, 202, 253, 304],
            max_sizes=[100, 150, 202, 253, 304, 320],
        ),
    ),
)
