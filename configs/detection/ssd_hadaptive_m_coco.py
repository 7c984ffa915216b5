_base_ = [
    "../_base_/models/ssd_hadaptive_s.py",
    "../_base_/datasets/coco_320.py",
    "../_base_/schedules/sgd_120e.py",
    "../_base_/default_runtime.py",
]
model = dict(
    backbone=dict(arch="m"),
    neck=dict(in_channels=(80, 128, 192), out_channels=(80, 128, 192, 128, 128)),
    bbox_head=dict(in_channels=(80, 128, 192, 128, 128)),
)
