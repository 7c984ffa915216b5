# The paper's number (Fig. 3, no ECA: learned scores that do not see the input): not at hand.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(selection="static")))
