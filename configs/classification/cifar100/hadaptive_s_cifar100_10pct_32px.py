# A tenth of CIFAR-100 as it is, 32x32: a training that a CPU can do.
_base_ = ["../../_base_/models/hadaptive_s_classifier.py", "../../_base_/cifar100.py"]
model = dict(head=_base_.head)
data_preprocessor = dict(size=32)
train_dataloader = dict(dataset=dict(dataset=dict(fraction=0.1)))
max_epochs = 60
warmup_epochs = 3
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = warmup_epochs
param_scheduler[1].end = max_epochs
param_scheduler[1].T_max = max_epochs - warmup_epochs
test_pipeline = [dict(type="PackInputs")]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
