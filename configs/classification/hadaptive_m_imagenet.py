# The paper's number (Table 7, ImageNet-1k): 78.07 % top-1.
_base_ = "hadaptive_s_imagenet.py"
model = dict(backbone=dict(arch="m"))
