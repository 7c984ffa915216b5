_base_ = ["mmpretrain::mobilevit/mobilevit-xsmall_8xb128_in1k.py", "../_base_/mobilevit_ach.py"]
model = dict(_delete_=True, model=_base_.model, **_base_.replacement)
default_hooks = _base_.hooks
