# The paper's search (appendix A.1): AdamW 3e-3 with a weight decay of 1e-4 and a cosine for the
# weights, AdamW 3e-4 for the logits of the candidates, clipping at a norm of 1, temperatures from
# 4.0 to 0.1, batch 64, 250 epochs. What the paper leaves open: the cosine ends at zero and the
# logits decay as torch has it (ours); the temperature falls as a cosine (the example train_nas.yaml
# of https://github.com/acelych/conductor).
max_epochs = 250
train_cfg = dict(
    type="SearchTrainLoop",
    max_epochs=max_epochs,
    tau=dict(schedule="cosine", start=4.0, end=0.1),
    # Of the halves of the training set.
    split_seed=0,
)
optim_wrapper = dict(
    constructor="SearchOptimWrapperConstructor",
    type="OptimWrapper",
    weights=dict(
        optimizer=dict(type="AdamW", lr=0.003, weight_decay=0.0001), clip_grad=dict(max_norm=1.0)
    ),
    alphas=dict(optimizer=dict(type="AdamW", lr=0.0003), clip_grad=dict(max_norm=1.0)),
)
param_scheduler = dict(
    weights=[
        dict(
            type="CosineAnnealingLR",
            eta_min=0,
            T_max=max_epochs,
            end=max_epochs,
            by_epoch=True,
            convert_to_iter_based=True,
        )
    ],
    alphas=[],
)
auto_scale_lr = dict(base_batch_size=64)
# Several processes: candidates that are not drawn get no gradient.
find_unused_parameters = True

# The loss of every network, which its config gives to the head.
loss = dict(type="CrossEntropyLoss")
