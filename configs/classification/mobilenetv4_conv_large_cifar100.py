# The paper's number (Table 7): 74.38 % top-1 with 31.44 M parameters and 2170 M MACs.
_base_ = [
    "../_base_/models/timm_classifier.py",
    "../_base_/datasets/cifar100_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(model_name="mobilenetv4_conv_large", loss=_base_.loss)
