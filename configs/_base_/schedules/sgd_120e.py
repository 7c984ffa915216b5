# The paper's detection recipe (section A.4): SGD 0.02 at batch 64, 3 epochs of linear warm-up,
# cosine to 1e-5.
max_epochs = 120
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=5)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.001,
        begin=0,
        end=3,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-5,
        begin=3,
        end=max_epochs,
        T_max=max_epochs - 3,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=True, base_batch_size=64)
