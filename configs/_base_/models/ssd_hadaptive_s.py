# SSD with focal loss on Hadaptive-Net-S: maps at strides 8, 16, 32 from the backbone, 64 and 128
# from extra layers. The sizes of the default boxes grow from 7.5 % of 320 pixels to the whole.
# (The paper's first map of 38x38 belongs to 300x300; at 320x320 it is 40x40.)
num_classes = 80
data_preprocessor = dict(
    type="DetDataPreprocessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=1,
)
model = dict(
    type="SingleStageDetector",
    data_preprocessor=data_preprocessor,
    backbone=dict(type="HadaptiveNet", arch="s", out_indices=(2, 3, 4)),
    neck=dict(
        type="SSDNeck",
        in_channels=(64, 96, 128),
        out_channels=(64, 96, 128, 128, 128),
        level_strides=(2, 2),
        level_paddings=(1, 1),
        l2_norm_scale=None,
        use_depthwise=True,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="HSwish"),
    ),
    bbox_head=dict(
        type="FocalSSDHead",
        num_classes=num_classes,
        in_channels=(64, 96, 128, 128, 128),
        anchor_generator=dict(
            type="SSDAnchorGenerator",
            scale_major=False,
            strides=[8, 16, 32, 64, 128],
            ratios=[[2, 3]] * 5,
            min_sizes=[24, 48, 88, 152, 232],
            max_sizes=[48, 88, 152, 232, 320],
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=(0.0, 0.0, 0.0, 0.0),
            target_stds=(0.1, 0.1, 0.2, 0.2),
        ),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25),
        loss_bbox=dict(type="SmoothL1Loss", beta=1.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.0,
            ignore_iof_thr=-1,
            gt_max_assign_all=False,
        ),
        sampler=dict(type="PseudoSampler"),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        nms=dict(type="nms", iou_threshold=0.45),
        min_bbox_size=0,
        score_thr=0.02,
        max_per_img=200,
    ),
)
