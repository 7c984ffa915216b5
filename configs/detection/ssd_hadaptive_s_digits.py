# The embedded demo (`make demo`), for two CPU cores. The default boxes are small for their maps, so
# that the digits fall to the deeper ones, which can tell them apart.
_base_ = [
    "../_base_/models/ssd_hadaptive_s.py",
    "../_base_/datasets/digits_128.py",
    "../_base_/schedules/sgd_18e.py",
    "../_base_/default_runtime.py",
    "../_base_/detection_runtime.py",
]
model = dict(
    bbox_head=dict(
        num_classes=10,
        anchor_generator=dict(min_sizes=[10, 20, 40, 64, 96], max_sizes=[20, 40, 64, 96, 128]),
    )
)
default_hooks = dict(logger=dict(interval=20), visualization=_base_.visualization)
