# COCO 2017 at 320x320 with the augmentation of section A.4, HSV jitter, expansion to at most twice
# the size and crops by IoU, and with flips (ours).
dataset_type = "CocoDataset"
data_root = "data/coco/"
data_source = {
    "data/coco": (
        "COCO 2017 comes as train2017.zip, val2017.zip and annotations_trainval2017.zip from "
        "https://cocodataset.org/#download. Unpack them into data/coco, or link a folder that has "
        "them: ln -s /path/to/coco data/coco"
    )
}
input_size = 320
mean = [123.675, 116.28, 103.53]

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PhotoMetricDistortion",
        brightness_delta=0,
        contrast_range=(1.0, 1.0),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
        swap_channels=False,
    ),
    dict(type="Expand", mean=mean, to_rgb=True, ratio_range=(1, 2)),
    dict(type="BatchedMinIoURandomCrop", min_ious=(0.1, 0.3, 0.5), min_crop_size=0.3),
    dict(type="Resize", scale=(input_size, input_size), keep_ratio=False),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(input_size, input_size), keep_ratio=False),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/instances_train2017.json",
        data_prefix=dict(img="train2017/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="NamedCocoMetric", ann_file=data_root + "annotations/instances_val2017.json", metric="bbox"
)
test_evaluator = val_evaluator
