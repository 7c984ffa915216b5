"""Read a pickle of arrays and plain data without running code from it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np


def _encode_latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes at pickle protocol 2; no other codec is needed."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r} in a data file")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode_latin1,
}
# numpy renamed the modules that arrays are pickled from in 2.0.
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = np.empty(0).__reduce__()[0]
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = np.empty(0).__reduce_ex__(5)[0]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def load_restricted_pickle(path: str | Path):
    """Unpickle plain data and NumPy arrays; Python 2's strings become latin-1 text.

    Raises:
        pickle.UnpicklingError: The file asks for anything else, is truncated, or is no pickle; the
            message names it.
    """
    with open(path, "rb") as file:
        try:
            return _Unpickler(file, encoding="latin1").load()
        # A damaged pickle can raise nearly anything.
        except Exception as error:
            raise pickle.UnpicklingError(f"{path} was not loaded: {error}") from error
