_base_ = ["../../_base_/models/hadaptive_s_classifier.py", "../../_base_/cifar100_10pct_32px.py"]
model = dict(head=_base_.head)
max_epochs = 60
warmup_epochs = 3
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = warmup_epochs
param_scheduler[1].end = max_epochs
param_scheduler[1].T_max = max_epochs - warmup_epochs
