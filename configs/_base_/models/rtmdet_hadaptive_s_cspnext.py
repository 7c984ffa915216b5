# The same with RTMDet's neck, in the size of its smallest network, for comparison.
_base_ = "rtmdet_hadaptive_s.py"
model = dict(
    neck=dict(
        _delete_=True,
        type="CSPNeXtPAFPN",
        in_channels=(64, 96, 128),
        out_channels=96,
        num_csp_blocks=1,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="SiLU", inplace=True),
    )
)
