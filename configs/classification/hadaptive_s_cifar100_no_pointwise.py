# The paper's number (Fig. 3, no pointwise convolution): 69.27 % top-1.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(pointwise=False)))
