# Hadaptive-Net-S without cross-Hadamard products: in their place stand Ghost expansions to the same
# width, 96 + 120 = 2.25 * 96 and 128 + 496 = 4.875 * 128.
_base_ = "hadaptive_s_classifier.py"
model = dict(
    backbone=dict(
        arch=[
            [("conv", 32, 2, 2, None)],
            [("conv", 48, 2, 2, "HSwish"), ("conv", 32, 1, 1, "HSwish")],
            [("ghost", 64, 4, 2, 2), ("ghost", 64, 2, 3, 1)],
            [
                *[("ghost", 96, 4, 2, 2), ("ghost", 96, 2.25, 5, 1), ("ghost", 96, 2.25, 5, 1)],
                *[("ghost", 96, 2, 5, 1), ("ghost", 96, 2.25, 5, 1), ("ghost", 96, 2.25, 5, 1)],
            ],
            [("ghost", 128, 6, 2, 2), ("ghost", 128, 4.875, 7, 1), ("ghost", 128, 4.875, 7, 1)],
        ]
    )
)
