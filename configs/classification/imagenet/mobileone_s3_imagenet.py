_base_ = ["mmpretrain::_base_/models/mobileone/mobileone_s3.py", "../../_base_/imagenet.py"]
model = dict(head=_base_.head)
