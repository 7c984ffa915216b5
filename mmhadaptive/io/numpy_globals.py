"""NumPy's part of a checkpoint, rebuilt without trusting the file.

NumPy's own ``dtype.__setstate__`` reads flags and counts from the pickle, and a damaged one ends
the process. Here only the byte order is taken from it.
"""

from __future__ import annotations

import pickle

import numpy as np


class _DType:
    """Stands for a ``numpy.dtype`` while arrays and scalars are rebuilt."""

    def __init__(self, name: str, align: bool = False, copy: bool = True):
        self.value = np.dtype(name)
        if self.value.kind not in "biufc":
            raise pickle.UnpicklingError(f"an array of {name}, which is no type of numbers")

    def __setstate__(self, state: tuple):
        self.value = self.value.newbyteorder(state[1])


class _Array(np.ndarray):
    """Empty until its state is set; then a ``numpy.ndarray``, as which it is pickled again."""

    def __new__(cls, *_):
        return super().__new__(cls, 0)

    def __setstate__(self, state: tuple):
        _, shape, dtype, fortran, data = state
        array = np.ndarray(shape, dtype.value, data, order="F" if fortran else "C")
        super().__setstate__(array.__reduce__()[2])

    def __reduce_ex__(self, protocol: int):
        return self.view(np.ndarray).__reduce_ex__(protocol)


def _scalar(dtype: _DType, data: bytes) -> np.generic:
    return np.ndarray((), dtype.value, data)[()]


def _no_bytes() -> bytes:
    """What an array without elements holds."""
    return b""


# By the names in a pickle. NumPy 2 renamed the module of two functions.
NUMPY_GLOBALS = {
    "numpy.dtype": _DType,
    "numpy.ndarray": _Array,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "builtins.bytes": _no_bytes,
}
