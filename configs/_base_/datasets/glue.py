# GLUE's files, of SST-2, and the tokenizer that makes word pieces of them. Nothing is downloaded.
data_root = "data/glue/SST-2"
tokenizer = "data/bert-base-uncased"
data_source = {
    "data/glue": (
        "GLUE's files come from https://gluebenchmark.com/tasks. Unpack SST-2.zip and MNLI.zip "
        "into data/glue, so that there are data/glue/SST-2/train.tsv and data/glue/MNLI/train.tsv"
    )
}
pipeline = [dict(type="WordPieces", tokenizer=tokenizer, length=128)]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="ResumableSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="GLUEFiles", data_root=data_root, task="sst2", split="train", pipeline=pipeline
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="GLUEFiles", data_root=data_root, task="sst2", split="dev", pipeline=pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="Accuracy", topk=(1,))]
test_evaluator = val_evaluator
