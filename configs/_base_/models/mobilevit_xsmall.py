# MobileViT-XS of Table 8.
_base_ = "mmpretrain::_base_/models/mobilevit/mobilevit_xs.py"
model = dict(backbone=dict(type="DepthwiseMobileViT", stem_channels=32))
