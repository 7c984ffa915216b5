# The paper's number (Table 7): 74.10 % top-1.
# hadaptive_m_cifar100.py with the images in memory, in bfloat16, for a GPU.
_base_ = "hadaptive_s_cifar100_in_memory.py"
model = dict(backbone=dict(arch="m"))
