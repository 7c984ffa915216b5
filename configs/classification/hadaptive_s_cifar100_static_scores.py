# The paper's number (Fig. 3, no ECA: learned scores that do not see the input): 69.12 % top-1.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(selection="static")))
