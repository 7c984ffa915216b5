_base_ = ["../../_base_/models/timm_classifier.py", "../../_base_/cifar100.py"]
model = dict(model_name="starnet_s4", **_base_.head)
