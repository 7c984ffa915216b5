# ImageNet-1k at 224x224. Augmentation (ours, for the paper states none): RandomResizedCrop and a
# flip; in testing the short edge becomes 256, then the centre is cropped.
dataset_type = "ImageNet"
data_root = "data/imagenet"
data_source = {
    "data/imagenet": (
        "ImageNet-1k comes as ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from "
        "https://image-net.org. Unpack them into data/imagenet/train and data/imagenet/val, a "
        "folder for each class, or link a folder that has them: "
        "ln -s /path/to/imagenet data/imagenet"
    )
}
data_preprocessor = dict(
    num_classes=1000,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=224),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeEdge", scale=256, edge="short"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type=dataset_type, data_root=data_root, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=5,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type=dataset_type, data_root=data_root, split="val", pipeline=test_pipeline),
)
test_dataloader = val_dataloader

val_evaluator = [dict(type="Accuracy", topk=(1, 5))]
test_evaluator = [
    dict(type="Accuracy", topk=(1, 5)),
    dict(type="SingleLabelMetric", items=("precision", "recall", "f1-score"), average=None),
    dict(type="ConfusionMatrix"),
]
