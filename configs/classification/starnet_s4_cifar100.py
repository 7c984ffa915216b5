# The paper's number (Table 7): not at hand.
_base_ = [
    "../_base_/datasets/cifar100_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(
    type="TimmClassifier",
    model_name="starnet_s4",
    pretrained=False,
    num_classes=100,
    loss=_base_.loss,
)
