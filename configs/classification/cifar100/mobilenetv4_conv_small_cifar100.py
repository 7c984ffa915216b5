_base_ = ["../../_base_/models/timm_classifier.py", "../../_base_/cifar100.py"]
model = dict(model_name="mobilenetv4_conv_small", **_base_.head)
