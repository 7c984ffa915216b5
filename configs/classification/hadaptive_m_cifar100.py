# The paper's number (Table 7): 74.10 % top-1 with 3.095 M parameters and 339.1 M MACs.
_base_ = "hadaptive_s_cifar100.py"
model = dict(backbone=dict(arch="m"))
