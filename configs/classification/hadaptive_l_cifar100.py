# The paper's number (Table 7): 74.73 % top-1 with 6.108 M parameters and 669.8 M MACs.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(arch="l"))
