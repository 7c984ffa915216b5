# The paper's number (Table 7): 70.01 % top-1.
# mobilenetv3_small_cifar100.py with the images in memory, in bfloat16, for a GPU.
_base_ = [
    "mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py",
    "../_base_/datasets/cifar100_224_in_memory.py",
    "../_base_/schedules/adamw_200e.py",
    "../_base_/classification_in_pieces.py",
]
model = dict(head=dict(num_classes=100, loss=_base_.loss))
optim_wrapper = dict(type="BFloat16OptimWrapper")
