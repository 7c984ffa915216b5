_base_ = [
    "../_base_/models/ssd_hadaptive_s.py",
    "../_base_/datasets/coco_320.py",
    "../_base_/schedules/sgd_120e.py",
    "../_base_/default_runtime.py",
]
