_base_ = [
    "../_base_/models/rtmdet_hadaptive_m.py",
    "../_base_/datasets/coco_mosaic_320.py",
    "../_base_/schedules/adamw_300e.py",
    "../_base_/default_runtime.py",
    "../_base_/detection_runtime.py",
]
default_hooks = dict(visualization=_base_.visualization)
custom_hooks = [*_base_.custom_hooks, _base_.averaging, _base_.pipeline_switch]
