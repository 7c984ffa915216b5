# ImageNet-1k at 224x224 with mmpretrain's pipeline. Augmentation (ours: the paper's is not at
# hand): RandomResizedCrop and a flip; in testing the short edge becomes 256, then the centre is
# cropped.
_base_ = "mmpretrain::_base_/datasets/imagenet_bs64.py"
data_source = {
    "data/imagenet": (
        "ImageNet-1k comes as ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from "
        "https://image-net.org. Unpack them into data/imagenet/train and data/imagenet/val, a "
        "folder for each class, or link a folder that has them: "
        "ln -s /path/to/imagenet data/imagenet"
    )
}
train_dataloader = dict(
    num_workers=8,
    persistent_workers=False,
    drop_last=True,
    collate_fn=dict(type="default_collate"),
)
val_dataloader = dict(persistent_workers=False, collate_fn=dict(type="default_collate"))
test_dataloader = dict(persistent_workers=False, collate_fn=dict(type="default_collate"))
val_evaluator = [dict(type="Accuracy", topk=(1, 5))]
test_evaluator = [
    dict(type="Accuracy", topk=(1, 5)),
    dict(type="SingleLabelMetric", items=("precision", "recall", "f1-score"), average=None),
    dict(type="ConfusionMatrix"),
]
