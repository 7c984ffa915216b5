_base_ = ["mmpretrain::_base_/models/mobileone/mobileone_s1.py", "../../_base_/cifar100.py"]
# mmpretrain's head smooths labels.
model = dict(
    head=dict(_delete_=True, type="LinearClsHead", in_channels=1280, topk=(1, 5), **_base_.head)
)
