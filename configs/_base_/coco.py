# The recipe on COCO: 320x320, SGD for 120 epochs. A config adds a detector.
_base_ = [
    "datasets/coco_320.py",
    "schedules/sgd_120e.py",
    "default_runtime.py",
    "detection_runtime.py",
]
default_hooks = dict(visualization=_base_.visualization)
