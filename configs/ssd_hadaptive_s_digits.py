# The embedded demo (`make demo`), for two CPU cores. The default boxes are half of those for 320.
_base_ = [
    "_base_/models/ssd_hadaptive_s.py",
    "_base_/datasets/digits_160.py",
    "_base_/schedules/sgd_16e.py",
    "_base_/default_runtime.py",
]
model = dict(
    bbox_head=dict(
        num_classes=10,
        anchor_generator=dict(min_sizes=[12, 24, 44, 76, 116], max_sizes=[24, 44, 76, 116, 160]),
    )
)
default_hooks = dict(logger=dict(interval=10))
