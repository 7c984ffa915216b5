_base_ = ["../../_base_/models/mobilevit_xsmall.py", "../../_base_/cifar100.py"]
model = dict(head=_base_.head)
