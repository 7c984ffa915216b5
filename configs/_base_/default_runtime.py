# Runtime of every task: hooks, environment, logging. What a library adds stands in its
# *_runtime.py; a recipe lists both.
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # The best by the evaluator's first metric.
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=3, save_best="auto"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    adapt_temperature=dict(type="AdaptTemperatureHook"),
    epoch_seed=dict(type="EpochSeedHook"),
    check_checkpoint=dict(type="CheckCheckpointHook"),
    check_shapes=dict(type="CheckShapesHook"),
    channels_last=dict(type="ChannelsLastHook"),
    check_loss=dict(type="CheckLossHook"),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
randomness = dict(seed=0, diff_rank_seed=False)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
log_level = "INFO"
load_from = None
resume = False
