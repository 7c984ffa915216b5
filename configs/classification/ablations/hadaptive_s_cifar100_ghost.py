_base_ = ["../../_base_/models/hadaptive_s_ghost_classifier.py", "../../_base_/cifar100.py"]
model = dict(head=_base_.head)
