# SSD from scratch on few real images.
_base_ = [
    "../_base_/models/ssd_hadaptive_m.py",
    "../_base_/datasets/bccd_320.py",
    "../_base_/schedules/sgd_36e.py",
    "../_base_/default_runtime.py",
    "../_base_/detection_runtime.py",
]
model = dict(bbox_head=dict(num_classes=3))
default_hooks = dict(logger=dict(interval=10), visualization=_base_.visualization)
