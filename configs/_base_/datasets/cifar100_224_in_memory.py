# CIFAR-100 enlarged to 224x224 with the augmentation of cifar100_224.py, but the images stay in
# memory (on the GPU where there is one) and are augmented and enlarged by the batch. Testing keeps
# the stock pipeline.
_base_ = "cifar100_224.py"
data_preprocessor = dict(type="BatchAugmentPreprocessor", size=224, padding=4, flip=0.5)
train_dataloader = dict(
    _delete_=True,
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type="ResumableSampler", shuffle=True),
    collate_fn=dict(type="whole_batch"),
    dataset=dict(
        type="InMemoryDataset",
        dataset=dict(type="CIFAR100Files", data_root=_base_.data_root, split="train"),
    ),
)
val_dataloader = dict(
    _delete_=True,
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="whole_batch"),
    dataset=dict(
        type="InMemoryDataset",
        dataset=dict(type="CIFAR100Files", data_root=_base_.data_root, split="test"),
    ),
)
