"""Data sets: importing this package registers them."""

from .cifar100_files import CIFAR100Files, balanced_subset, read_cifar100
from .restricted_pickle import load_restricted_pickle

__all__ = ["CIFAR100Files", "balanced_subset", "load_restricted_pickle", "read_cifar100"]
