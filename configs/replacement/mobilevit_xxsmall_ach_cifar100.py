_base_ = [
    "../_base_/models/mobilevit_xxsmall.py",
    "../_base_/mobilevit_ach.py",
    "../_base_/cifar100.py",
]
head = dict(_base_.model.head, **_base_.head)
model = dict(_delete_=True, model=dict(_base_.model, head=head), **_base_.replacement)
