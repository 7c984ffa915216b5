# The space of Table 10: kernels of 2 and 3 with Ghost, of 3, 5 and 7 with cross-Hadamard products,
# and none of them. Expansions are those of Table 9: the paper states channels and kernels.
_base_ = ["../_base_/models/hadaptive_s_classifier.py", "../_base_/gdas_cifar100.py"]
stage2_down = {"Ghost 2": ("ghost", 64, 4, 2, 2), "Ghost 3": ("ghost", 64, 4, 3, 2)}
stage2 = {"Ghost 3": ("ghost", 64, 2, 3, 1), "ACH 5": ("ach", 64, 16, 5)}
stage3_down = {"Ghost 2": ("ghost", 96, 4, 2, 2), "Ghost 3": ("ghost", 96, 4, 3, 2)}
stage3 = {
    "Ghost 2": ("ghost", 96, 2, 2, 1),
    "Ghost 3": ("ghost", 96, 2, 3, 1),
    "ACH 3": ("ach", 96, 16, 3),
    "ACH 5": ("ach", 96, 16, 5),
}
stage3_or_blank = {**stage3, "Blank": ("blank", 96)}
stage4_down = {
    "Ghost 2": ("ghost", 128, 6, 2, 2),
    "Ghost 3": ("ghost", 128, 6, 3, 2),
    "ACH 3": ("ach", 128, 32, 3, 2),
    "ACH 5": ("ach", 128, 32, 5, 2),
}
stage4 = {
    "ACH 3": ("ach", 128, 32, 3),
    "ACH 5": ("ach", 128, 32, 5),
    "ACH 7": ("ach", 128, 32, 7),
}
stage4_or_blank = {**stage4, "Blank": ("blank", 128)}
arch = [
    [("conv", 32, 2, 2, None)],
    [("conv", 48, 2, 2, "HSwish"), ("conv", 32, 1, 1, "HSwish")],
    [stage2_down, stage2],
    [stage3_down, stage3, stage3, stage3_or_blank, stage3_or_blank, stage3_or_blank],
    [stage4_down, stage4, stage4, stage4_or_blank, stage4_or_blank, stage4_or_blank],
]
model = dict(backbone=dict(type="HadaptiveSupernet", arch=arch), head=_base_.head)
