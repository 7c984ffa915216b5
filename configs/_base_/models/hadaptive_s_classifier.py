# Hadaptive-Net-S with the head of Table 9: pooling, 960-1280, Hardswish, dropout 0.3, classes. The
# recipe gives the number of classes and the loss.
model = dict(
    type="ImageClassifier",
    backbone=dict(type="HadaptiveNet", arch="s"),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="StackedLinearClsHead",
        in_channels=960,
        mid_channels=[1280],
        dropout_rate=0.3,
        act_cfg=dict(type="HSwish"),
        topk=(1, 5),
    ),
)
