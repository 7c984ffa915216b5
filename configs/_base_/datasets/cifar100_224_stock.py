# cifar100_224.py by mmpretrain's pipeline, image by image in the loader's processes.
_base_ = "cifar100_224.py"
data_preprocessor = dict(
    _delete_=True,
    **{key: _base_.data_preprocessor[key] for key in ("num_classes", "mean", "std", "to_rgb")},
)
train_pipeline = [
    dict(type="RandomCrop", crop_size=32, padding=4),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    *_base_.test_pipeline,
]
train_dataloader = dict(
    num_workers=8,
    sampler=dict(type="DefaultSampler"),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        _delete_=True,
        type=_base_.dataset_type,
        data_root=_base_.data_root,
        split="train",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
