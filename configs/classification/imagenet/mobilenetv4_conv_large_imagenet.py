_base_ = ["../../_base_/models/timm_classifier.py", "../../_base_/imagenet.py"]
model = dict(model_name="mobilenetv4_conv_large", **_base_.head)
