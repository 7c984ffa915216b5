# The paper's number (Fig. 3, no pointwise convolution): not at hand.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(pointwise=False)))
