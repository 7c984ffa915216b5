_base_ = [
    "../../_base_/models/hadaptive_s_ghost_classifier.py",
    "../../_base_/cifar100_64px_20e.py",
]
model = dict(head=_base_.head)
