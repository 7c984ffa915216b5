"""Data sets: importing this package registers them."""

from mmhadaptive.optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from .balanced_subset import balanced_subset
    from .cifar100_files import CIFAR100Files
    from .glue import GLUEFiles, read_glue
    from .in_memory_dataset import InMemoryDataset, whole_batch
    from .npz_images import NpzImages
    from .resumable_sampler import ResumableSampler
    from .word_pieces import WordPieces, learn_vocabulary, load_tokenizer

__all__ = [
    "CIFAR100Files",
    "GLUEFiles",
    "InMemoryDataset",
    "NpzImages",
    "ResumableSampler",
    "WordPieces",
    "balanced_subset",
    "learn_vocabulary",
    "load_tokenizer",
    "read_glue",
    "whole_batch",
]
