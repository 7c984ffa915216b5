# The paper's number (ImageNet-1k): not at hand.
_base_ = "hadaptive_s_imagenet.py"
model = dict(backbone=dict(arch="m"))
