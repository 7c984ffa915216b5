# cifar100_224.py with the images in memory, on the GPU where there is one, and with augmentation
# and enlargement by the batch. Testing keeps the stock pipeline.
_base_ = "cifar100_224.py"
data_preprocessor = dict(type="BatchAugmentPreprocessor", size=224, padding=4, flip=0.5)
images = dict(type=_base_.dataset_type, data_root=_base_.data_root)
train_dataloader = dict(
    num_workers=0,
    sampler=dict(type="ResumableSampler"),
    collate_fn=dict(type="whole_batch"),
    dataset=dict(_delete_=True, type="InMemoryDataset", dataset=dict(split="train", **images)),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    collate_fn=dict(type="whole_batch"),
    dataset=dict(_delete_=True, type="InMemoryDataset", dataset=dict(split="test", **images)),
)
