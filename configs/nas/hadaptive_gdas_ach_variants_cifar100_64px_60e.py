_base_ = [
    "../_base_/models/hadaptive_s_classifier.py",
    "../_base_/search_spaces/ach_variants.py",
    "../_base_/gdas_cifar100_64px_60e.py",
]
model = dict(backbone=dict(type="HadaptiveSupernet", arch=_base_.arch), head=_base_.head)
