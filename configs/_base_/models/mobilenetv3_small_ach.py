# MobileNetV3-S with cross-Hadamard blocks. num_selected is the smallest that reaches the width of
# the old block: 32 for blocks 9 and 10, as in the public code of the authors, which keeps
# squeeze-and-excitation as well; activation and kernel are those of the old block.
_base_ = "mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py"
backbone = dict(_base_.model.backbone, type="UnroundedMobileNetV3")
model = dict(_delete_=True, type="ReplaceBlocks", model=dict(_base_.model, backbone=backbone))
norm_cfg = dict(type="BN", eps=0.001, momentum=0.01)
block = dict(type="ACHBottleneck", se_ratio=4, norm_cfg=norm_cfg)
