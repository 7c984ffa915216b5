_base_ = "ssd_hadaptive_s.py"
model = dict(
    backbone=dict(arch="m"),
    neck=dict(in_channels=(80, 128, 192), out_channels=(80, 128, 192, 128, 128)),
    bbox_head=dict(in_channels=(80, 128, 192, 128, 128)),
)
