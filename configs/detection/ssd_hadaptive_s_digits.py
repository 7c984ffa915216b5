# The embedded demo (`make demo`), for two CPU cores. A feature pyramid brings what the last stage
# knows to the finer maps, where the boxes of small digits lie close enough; the default boxes have
# the form of digits. The backbone comes from configs/classification/digits/hadaptive_s_digits.py,
# as one for pictures would come from ImageNet.
_base_ = [
    "../_base_/models/ssd_hadaptive_s.py",
    "../_base_/datasets/digits_128.py",
    "../_base_/schedules/adamw_digits_3e.py",
    "../_base_/default_runtime.py",
    "../_base_/detection_runtime.py",
]
model = dict(
    backbone=dict(
        init_cfg=dict(
            type="Pretrained",
            checkpoint="work_dirs/hadaptive_s_digits/epoch_3.pth",
            prefix="backbone.",
        )
    ),
    neck=dict(
        _delete_=True,
        type="FPN",
        in_channels=[64, 96, 128],
        out_channels=64,
        num_outs=3,
        norm_cfg=dict(type="BN"),
    ),
    bbox_head=dict(
        num_classes=10,
        in_channels=(64, 64, 64),
        anchor_generator=dict(
            _delete_=True,
            type="AnchorGenerator",
            strides=[8, 16, 32],
            scales=[2.0, 2.5, 3.2],
            # Height over width.
            ratios=[1.6],
            center_offset=0.5,
        ),
    ),
    # No two digits lie on each other.
    test_cfg=dict(nms=dict(class_agnostic=True)),
)
max_epochs = 4
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_epochs
param_scheduler[1].T_max = max_epochs - _base_.warmup_epochs
optim_wrapper = dict(optimizer=dict(lr=0.002))
default_hooks = dict(logger=dict(interval=25), visualization=_base_.visualization)
