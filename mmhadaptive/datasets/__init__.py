"""Data sets: importing this package registers them."""

from ..optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from .batch_augment_preprocessor import BatchAugmentPreprocessor
    from .cifar100_files import CIFAR100Files, balanced_subset, read_cifar100
    from .in_memory_dataset import InMemoryDataset, whole_batch
    from .restricted_pickle import load_restricted_pickle
    from .resumable_sampler import ResumableSampler

__all__ = [
    "BatchAugmentPreprocessor",
    "CIFAR100Files",
    "InMemoryDataset",
    "ResumableSampler",
    "balanced_subset",
    "load_restricted_pickle",
    "read_cifar100",
    "whole_batch",
]
