# The paper's recipe for BERT: 2e-5 at batch 32, weight decay 0.01, 3 epochs, of whose steps 10 %
# are linear warm-up. AdamW, the linear fall to zero, and that biases and normalisations do not
# decay are ours, as is usual for BERT: the paper states none of them.
max_epochs = 3
warmup_epochs = 0.3
train_cfg = dict(type="ResumableTrainLoop", max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-5, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
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
        type="LinearLR",
        start_factor=1.0,
        end_factor=0.0,
        begin=warmup_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=32)
