# The paper's number (Fig. 3, fixed channels: no choice at all): 71.96 % top-1.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(selection="fixed")))
