_base_ = "rtmdet_hadaptive_s.py"
model = dict(
    backbone=dict(arch="m"),
    neck=dict(in_channels=(80, 128, 192), out_channels=128),
    bbox_head=dict(in_channels=128, feat_channels=96),
)
