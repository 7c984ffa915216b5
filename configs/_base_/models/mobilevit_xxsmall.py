# MobileViT-XXS of Table 8.
_base_ = "mmpretrain::_base_/models/mobilevit/mobilevit_xxs.py"
model = dict(backbone=dict(type="DepthwiseMobileViT"))
