_base_ = ["mmpretrain::_base_/models/mobileone/mobileone_s2.py", "../../_base_/imagenet.py"]
# mmpretrain's head smooths labels.
model = dict(
    head=dict(_delete_=True, type="LinearClsHead", in_channels=2048, topk=(1, 5), **_base_.head)
)
