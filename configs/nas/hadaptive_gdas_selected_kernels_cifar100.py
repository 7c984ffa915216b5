# The space of Table 11: how many channels the products are of, and the kernel. Fixed rows are those
# of Table 9.
_base_ = ["../_base_/models/hadaptive_s_classifier.py", "../_base_/gdas_cifar100.py"]
stage3 = {
    "ACH 16-3": ("ach", 96, 16, 3),
    "ACH 16-5": ("ach", 96, 16, 5),
    "ACH 32-3": ("ach", 96, 32, 3),
}
stage4 = {
    "ACH 16-3": ("ach", 128, 16, 3),
    "ACH 32-3": ("ach", 128, 32, 3),
    "ACH 48-3": ("ach", 128, 48, 3),
}
arch = [
    [("conv", 32, 2, 2, None)],
    [("conv", 48, 2, 2, "HSwish"), ("conv", 32, 1, 1, "HSwish")],
    [("ghost", 64, 4, 2, 2), ("ghost", 64, 2, 3, 1)],
    [("ghost", 96, 4, 2, 2), stage3, stage3, stage3, stage3, stage3],
    [("ghost", 128, 6, 2, 2), stage4, stage4, stage4, stage4, stage4],
]
model = dict(backbone=dict(type="HadaptiveSupernet", arch=arch), head=_base_.head)
