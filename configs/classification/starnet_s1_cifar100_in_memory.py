# The paper's number (Table 7): 71.84 % top-1.
# starnet_s1_cifar100.py with the images in memory, in bfloat16, for a GPU.
_base_ = [
    "../_base_/models/timm_classifier.py",
    "../_base_/datasets/cifar100_224_in_memory.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_in_pieces.py",
]
model = dict(model_name="starnet_s1", loss=_base_.loss)
optim_wrapper = dict(type="BFloat16OptimWrapper")
