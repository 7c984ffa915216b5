# CIFAR-100 enlarged to 224x224, read from the cifar-100-python pickles or .npz. The images are in
# memory, on the GPU where there is one, and augmented and enlarged by the batch.
# Augmentation (ours, for the paper states none): a random crop with a padding of 4 and a flip, at
# 32x32, before the bicubic enlargement. The framework of the paper's authors enlarges first,
# bilinearly, and crops at 224x224, also with a padding of 4 (data.py of
# https://github.com/acelych/conductor at 005339ded99b).
dataset_type = "CIFAR100Files"
data_root = "data/cifar100/"
data_source = {
    "data/cifar100": (
        "CIFAR-100 comes as cifar-100-python.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html. Unpack it into data/cifar100, so that there "
        "is data/cifar100/cifar-100-python, or link a folder that has it, or train.npz and "
        "test.npz: ln -s /path/to/folder data/cifar100"
    )
}
data_preprocessor = dict(
    type="BatchAugmentPreprocessor",
    size=224,
    padding=4,
    flip=0.5,
    num_classes=100,
    mean=[129.304, 124.070, 112.434],
    std=[68.170, 65.392, 70.418],
    to_rgb=True,
)

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type="ResumableSampler", shuffle=True),
    collate_fn=dict(type="whole_batch"),
    dataset=dict(
        type="InMemoryDataset",
        dataset=dict(type=dataset_type, data_root=data_root, split="train"),
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="whole_batch"),
    dataset=dict(
        type="InMemoryDataset",
        dataset=dict(type=dataset_type, data_root=data_root, split="test"),
    ),
)
# Tests take mmpretrain's pipeline, as its inferencer does with images from files.
test_pipeline = [
    dict(type="Resize", scale=224, interpolation="bicubic"),
    dict(type="PackInputs"),
]
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split="test",
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

val_evaluator = [dict(type="Accuracy", topk=(1, 5))]
test_evaluator = [
    dict(type="Accuracy", topk=(1, 5)),
    dict(type="SingleLabelMetric", items=("precision", "recall", "f1-score"), average=None),
    dict(type="ConfusionMatrix"),
]
