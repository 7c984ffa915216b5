_base_ = ["../../_base_/models/hadaptive_s_classifier.py", "../../_base_/cifar100.py"]
model = dict(backbone=dict(arch="m"), head=_base_.head)
