# The backbone of the embedded demo (`make demo`) learns digits before its detector finds them.
_base_ = [
    "../../_base_/models/hadaptive_s_classifier.py",
    "../../_base_/datasets/digits_64.py",
    "../../_base_/schedules/adamw_digits_3e.py",
    "../../_base_/default_runtime.py",
    "../../_base_/classification_runtime.py",
]
model = dict(head=dict(num_classes=10, topk=(1,), loss=dict(type="CrossEntropyLoss")))
default_hooks = dict(logger=dict(interval=25), visualization=_base_.visualization)
