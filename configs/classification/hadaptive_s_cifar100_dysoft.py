# The paper's number (Table 1, DySoft, which is the default): 73.57 % top-1.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(ach_cfg=dict(product_norm_cfg=dict(type="DySoft"))))
