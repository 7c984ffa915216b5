"""Data sets: importing this package registers them."""

from mmhadaptive.optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from .cifar100_files import CIFAR100Files, balanced_subset, read_cifar100
    from .in_memory_dataset import InMemoryDataset, whole_batch
    from .resumable_sampler import ResumableSampler

__all__ = [
    "CIFAR100Files",
    "InMemoryDataset",
    "ResumableSampler",
    "balanced_subset",
    "read_cifar100",
    "whole_batch",
]
