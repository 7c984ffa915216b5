# BCCD: 364 pictures of blood cells, 640x480, three classes.
_base_ = "coco_320.py"
data_root = "data/bccd/"
data_source = {
    "data/bccd": (
        "BCCD is at https://github.com/Shenggan/BCCD_Dataset. data/bccd must hold it in COCO "
        "format: train.json, val.json, test.json and images/; or link a folder: "
        "ln -s /path/to/bccd data/bccd"
    )
}
metainfo = dict(classes=("RBC", "WBC", "Platelets"))

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file="train.json",
        data_prefix=dict(img="images/"),
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, ann_file="val.json", data_prefix=dict(img="images/")
    ),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file="test.json",
        data_prefix=dict(img="images/"),
    ),
)
val_evaluator = dict(ann_file=data_root + "val.json", classwise=True)
test_evaluator = dict(ann_file=data_root + "test.json", classwise=True)
