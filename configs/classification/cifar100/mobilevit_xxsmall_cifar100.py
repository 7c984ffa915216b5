_base_ = ["../../_base_/models/mobilevit_xxsmall.py", "../../_base_/cifar100.py"]
model = dict(head=_base_.head)
