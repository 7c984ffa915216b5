# The paper's number (Table 1, DyAlge): 72.80 % top-1.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(product_norm_cfg=dict(type="DyAlge"))))
