_base_ = ["../../_base_/models/hadaptive_s_classifier.py", "../../_base_/cifar100_64px_10e.py"]
model = dict(backbone=dict(ach_cfg=dict(selection="fixed")), head=_base_.head)
