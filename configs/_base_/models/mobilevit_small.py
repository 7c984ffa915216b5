# MobileViT-S of Table 8.
_base_ = "mmpretrain::_base_/models/mobilevit/mobilevit_s.py"
model = dict(backbone=dict(type="DepthwiseMobileViT", stem_channels=32))
