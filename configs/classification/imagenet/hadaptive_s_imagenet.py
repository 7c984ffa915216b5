_base_ = ["../../_base_/models/hadaptive_s_classifier.py", "../../_base_/imagenet.py"]
model = dict(head=_base_.head)
