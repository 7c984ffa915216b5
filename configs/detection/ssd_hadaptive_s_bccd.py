# The demo's recipe on real images, for longer, since there are few of them.
_base_ = [
    "../_base_/models/ssd_hadaptive_s.py",
    "../_base_/datasets/bccd_320.py",
    "../_base_/schedules/sgd_18e.py",
    "../_base_/default_runtime.py",
    "../_base_/detection_runtime.py",
]
model = dict(bbox_head=dict(num_classes=3))
train_cfg = dict(max_epochs=36, val_interval=6)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=36, T_max=35)
default_hooks = dict(logger=dict(interval=10), visualization=_base_.visualization)
