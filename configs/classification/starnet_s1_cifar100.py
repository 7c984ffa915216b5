# The paper's number (Table 7): 71.84 % top-1 with 2.68 M parameters and 422 M MACs.
_base_ = [
    "../_base_/models/timm_classifier.py",
    "../_base_/datasets/cifar100_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(model_name="starnet_s1", loss=_base_.loss)
