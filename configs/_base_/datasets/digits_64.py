# The embedded demo's crops of one digit each, of the sizes that digits have in its pictures.
_base_ = "cifar100_224.py"
dataset_type = "NpzImages"
data_root = "data/digits/crops/"
data_source = dict(
    _delete_=True,
    **{"data/digits": "The demo set is drawn by: python tools/data/make_digits.py"},
)
metainfo = dict(classes=tuple("0123456789"))
data_preprocessor = dict(
    size=None,
    flip=0.0,
    num_classes=10,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
)
digits = dict(type=dataset_type, data_root=data_root, metainfo=metainfo)
train_dataloader = dict(dataset=dict(dataset=dict(**digits)))
val_dataloader = dict(dataset=dict(dataset=dict(**digits, split="val")))
test_pipeline = [dict(type="PackInputs")]
test_dataloader = dict(num_workers=0, dataset=dict(**digits, split="val", pipeline=test_pipeline))
val_evaluator = [dict(type="Accuracy", topk=(1,))]
test_evaluator = _base_.test_evaluator
test_evaluator[0].topk = (1,)
