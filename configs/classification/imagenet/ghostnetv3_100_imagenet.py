_base_ = ["../../_base_/models/timm_classifier.py", "../../_base_/imagenet.py"]
model = dict(model_name="ghostnetv3_100", **_base_.head)
