# The paper's number (Table 7): 74.73 % top-1.
# hadaptive_l_cifar100.py with the images in memory, in bfloat16, for a GPU.
_base_ = "hadaptive_s_cifar100_in_memory.py"
model = dict(backbone=dict(arch="l"))
