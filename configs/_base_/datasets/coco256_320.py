# The first 128 pictures of COCO's train2017 and of its val2017. Training is without augmentation,
# and the test is on the training pictures: for a detector that is to learn them by heart.
_base_ = "coco_320.py"
data_root = "data/coco256/"
data_source = {
    "data/coco256": (
        "data/coco256 must hold a part of COCO 2017 in its layout, but with the annotation files "
        "beside train2017/ and val2017/; or link a folder: ln -s /path/to/coco256 data/coco256"
    )
}
train_file = "instances_train2017.json"
val_file = "instances_val2017.json"

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=5,
        dataset=dict(
            type=_base_.dataset_type,
            data_root=data_root,
            ann_file=train_file,
            data_prefix=dict(img="train2017/"),
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=[
                dict(type="LoadImageFromFile"),
                dict(type="LoadAnnotations", with_bbox=True),
                dict(type="Resize", scale=(_base_.input_size, _base_.input_size), keep_ratio=False),
                dict(type="PackDetInputs"),
            ],
        ),
    ),
)
val_dataloader = dict(
    batch_size=16, num_workers=2, dataset=dict(data_root=data_root, ann_file=val_file)
)
test_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(data_root=data_root, ann_file=train_file, data_prefix=dict(img="train2017/")),
)
val_evaluator = dict(ann_file=data_root + val_file)
test_evaluator = dict(ann_file=data_root + train_file)
