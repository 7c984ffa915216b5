_base_ = ["../../_base_/models/hadaptive_s_classifier.py", "../../_base_/imagenet.py"]
model = dict(backbone=dict(arch="l"), head=_base_.head)
