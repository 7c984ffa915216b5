"""Data preprocessors, registered in mmpretrain's MODELS."""

from mmhadaptive.optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from .batch_augment_preprocessor import BatchAugmentPreprocessor

__all__ = ["BatchAugmentPreprocessor"]
