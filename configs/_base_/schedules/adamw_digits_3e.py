# A few minutes on two CPU cores: AdamW at a large rate, its warm-up a part of the first epoch.
max_epochs = 3
warmup_epochs = 0.2
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=0.003, weight_decay=0.0001),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.001,
        begin=0,
        end=warmup_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=0,
        begin=warmup_epochs,
        end=max_epochs,
        T_max=max_epochs - warmup_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
