# Hadaptive-Net-S with the head of Table 9: pooling, 960-1280, Hardswish, dropout 0.3, classes.
model = dict(
    type="ImageClassifier",
    backbone=dict(type="HadaptiveNet", arch="s"),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="StackedLinearClsHead",
        num_classes=1000,
        in_channels=960,
        mid_channels=[1280],
        dropout_rate=0.3,
        act_cfg=dict(type="HSwish"),
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
        topk=(1, 5),
    ),
)
