# The space of Table 3: Ghost against cross-Hadamard products with three normalisations, in every
# bottleneck of Hadaptive-Net-S. The paper states the channels alone; the rows are those of Table 9
# where it has them, and by its neighbours otherwise: products of 16 channels up to stage 3 and of
# 32 in stage 4, kernels of 2 where the map is halved, else 3, 5 and 7 by the stage, and a Ghost
# expansion of 6 in stage 4 (the example nas_space.yaml of https://github.com/acelych/conductor).
stage2_down = dict(
    Ghost=("ghost", 64, 4, 2, 2),
    DySoft=("ach", 64, 16, 2, 2, "DySoft"),
    DySig=("ach", 64, 16, 2, 2, "DySig"),
    DyAlge=("ach", 64, 16, 2, 2, "DyAlge"),
)
stage2 = dict(
    Ghost=("ghost", 64, 2, 3, 1),
    DySoft=("ach", 64, 16, 3, 1, "DySoft"),
    DySig=("ach", 64, 16, 3, 1, "DySig"),
    DyAlge=("ach", 64, 16, 3, 1, "DyAlge"),
)
stage3_down = dict(
    Ghost=("ghost", 96, 4, 2, 2),
    DySoft=("ach", 96, 16, 2, 2, "DySoft"),
    DySig=("ach", 96, 16, 2, 2, "DySig"),
    DyAlge=("ach", 96, 16, 2, 2, "DyAlge"),
)
stage3 = dict(
    Ghost=("ghost", 96, 2, 5, 1),
    DySoft=("ach", 96, 16, 5, 1, "DySoft"),
    DySig=("ach", 96, 16, 5, 1, "DySig"),
    DyAlge=("ach", 96, 16, 5, 1, "DyAlge"),
)
stage4_down = dict(
    Ghost=("ghost", 128, 6, 2, 2),
    DySoft=("ach", 128, 32, 2, 2, "DySoft"),
    DySig=("ach", 128, 32, 2, 2, "DySig"),
    DyAlge=("ach", 128, 32, 2, 2, "DyAlge"),
)
stage4 = dict(
    Ghost=("ghost", 128, 6, 7, 1),
    DySoft=("ach", 128, 32, 7, 1, "DySoft"),
    DySig=("ach", 128, 32, 7, 1, "DySig"),
    DyAlge=("ach", 128, 32, 7, 1, "DyAlge"),
)
arch = [
    [("conv", 32, 2, 2, None)],
    [("conv", 48, 2, 2, "HSwish"), ("conv", 32, 1, 1, "HSwish")],
    [stage2_down, stage2],
    [stage3_down, stage3, stage3, stage3, stage3, stage3],
    [stage4_down, stage4, stage4],
]
