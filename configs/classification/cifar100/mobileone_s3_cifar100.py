_base_ = ["mmpretrain::_base_/models/mobileone/mobileone_s3.py", "../../_base_/cifar100.py"]
model = dict(head=_base_.head)
