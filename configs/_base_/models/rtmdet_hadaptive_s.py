# RTMDet's head and assigner (mmdet's) on Hadaptive-Net-S, with the neck of cross-Hadamard fusions.
# The width of the head lets the detector stay below the parameters and MACs of PicoDet-S.
num_classes = 80
data_preprocessor = dict(
    type="DetDataPreprocessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=32,
)
model = dict(
    type="RTMDet",
    data_preprocessor=data_preprocessor,
    backbone=dict(type="HadaptiveNet", arch="s", out_indices=(2, 3, 4)),
    neck=dict(type="ACHPAFPN", in_channels=(64, 96, 128), out_channels=96),
    bbox_head=dict(
        type="RTMDetSepBNHead",
        num_classes=num_classes,
        in_channels=96,
        feat_channels=80,
        stacked_convs=2,
        share_conv=True,
        pred_kernel_size=1,
        with_objectness=False,
        exp_on_reg=False,
        anchor_generator=dict(type="MlvlPointGenerator", offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type="DistancePointBBoxCoder"),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="SiLU", inplace=True),
    ),
    train_cfg=dict(
        assigner=dict(type="DynamicSoftLabelAssigner", topk=13),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.001,
        nms=dict(type="nms", iou_threshold=0.65),
        max_per_img=300,
    ),
)
