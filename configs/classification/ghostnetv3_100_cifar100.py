# The paper's number (Table 7): 73.20 % top-1.
_base_ = [
    "../_base_/models/timm_classifier.py",
    "../_base_/datasets/cifar100_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(model_name="ghostnetv3_100", loss=_base_.loss)
