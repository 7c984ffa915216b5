# The paper's number (Table 7, ImageNet-1k): 73.96 % top-1.
_base_ = [
    "../_base_/models/hadaptive_s_classifier.py",
    "../_base_/datasets/imagenet_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(head=dict(loss=_base_.loss))
