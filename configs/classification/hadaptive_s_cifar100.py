# The paper's number (Table 7): 73.57 % top-1 with 2.102 M parameters and 131.1 M MACs.
_base_ = [
    "../_base_/models/hadaptive_s_classifier.py",
    "../_base_/datasets/cifar100_224.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(head=dict(num_classes=100, loss=_base_.loss))
