# The paper's classification recipe: AdamW 1e-3 at batch 64, weight decay 1e-4, 200 epochs, of which
# 5 % are linear warm-up and the rest a cosine. It ends at zero (ours: the paper states no end).
# --auto-scale-lr scales the learning rate to another batch.
max_epochs = 200
warmup_epochs = 10
train_cfg = dict(type="ResumableTrainLoop", max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.001, weight_decay=0.0001)
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
auto_scale_lr = dict(base_batch_size=64)

# The loss of every network, which its config gives to the head.
loss = dict(type="CrossEntropyLoss")
