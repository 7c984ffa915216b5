# The paper's number (Table 7, ImageNet-1k): not at hand.
_base_ = [
    "../_base_/models/timm_classifier.py",
    "../_base_/datasets/imagenet_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(model_name="mobilenetv4_conv_large", num_classes=1000, loss=_base_.loss)
