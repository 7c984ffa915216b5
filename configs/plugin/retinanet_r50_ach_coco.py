# Fine-tunes mmdet's RetinaNet with a cross-Hadamard layer in every block of its last two stages.
# The plugins start as the identity, so training starts at the trained detector's accuracy.
_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"

custom_imports = dict(
    imports=["mmhadaptive.layers", "mmhadaptive.engine"], allow_failed_imports=False
)
model = dict(
    backbone=dict(
        plugins=[
            dict(
                cfg=dict(type="ACHPlugin", num_selected=16),
                stages=(False, False, True, True),
                position="after_conv2",
            )
        ],
    ),
)
default_hooks = dict(adapt_temperature=dict(type="AdaptTemperatureHook"))

# The detector of mmdet's model zoo; a file of your own does as well.
load_from = (
    "https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_1x_coco/"
    "retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth"
)
# A tenth of the rate that it was trained at, for a third of the time.
optim_wrapper = dict(optimizer=dict(lr=0.001))
train_cfg = dict(max_epochs=4)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", begin=0, end=4, by_epoch=True, milestones=[3], gamma=0.1),
]
