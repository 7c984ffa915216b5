# The paper's number (Table 7, ImageNet-1k): 80.79 % top-1.
_base_ = "hadaptive_s_imagenet.py"
model = dict(backbone=dict(arch="l"))
