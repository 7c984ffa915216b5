# hadaptive_s_cifar100.py with the images in memory, in bfloat16 and in pieces: for a GPU. The
# paper's number (Table 7): 73.57 % top-1.
_base_ = [
    "../_base_/models/hadaptive_s_classifier.py",
    "../_base_/datasets/cifar100_224_in_memory.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_runtime.py",
]
model = dict(head=dict(num_classes=100, loss=_base_.loss))
optim_wrapper = dict(type="BFloat16OptimWrapper")
default_hooks = dict(
    timed_checkpoint=dict(type="TimedCheckpointHook", save_seconds=100, stop_seconds=None)
)
