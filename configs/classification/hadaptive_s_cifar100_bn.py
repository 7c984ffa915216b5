# The paper's number (Fig. 3, batch normalisation of the products): 64.39 % top-1.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(product_norm_cfg=dict(type="BN"))))
