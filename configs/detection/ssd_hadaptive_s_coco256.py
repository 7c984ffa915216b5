# SSD from scratch on 128 pictures of 80 classes, which it is to learn by heart.
_base_ = [
    "../_base_/models/ssd_hadaptive_s.py",
    "../_base_/datasets/coco256_320.py",
    "../_base_/schedules/sgd_36e.py",
    "../_base_/default_runtime.py",
    "../_base_/detection_runtime.py",
]
default_hooks = dict(logger=dict(interval=10), visualization=_base_.visualization)
