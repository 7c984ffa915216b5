"""Loads the compiled libraries, where there are any."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch

FOLDER = Path(__file__).parent


def load() -> frozenset[str]:
    """Load the libraries that are there and return the device types that have kernels."""
    if os.environ.get("MMHADAPTIVE_REFERENCE", "0") not in ("", "0"):
        return frozenset()
    cpu, cuda = FOLDER / "libmmhadaptive_cpu.so", FOLDER / "libmmhadaptive_cuda.so"
    if not cpu.exists():
        warnings.warn(
            "mmhadaptive was installed without its compiled operator; the slower PyTorch "
            "implementation is used. Reinstall with a C++ compiler and torch 2.10 or newer.",
            stacklevel=2,
        )
        return frozenset()
    libraries = {"cpu": cpu}
    # The CUDA library needs libtorch_cuda, which a CPU build of torch does not have.
    if torch.version.cuda is not None and cuda.exists():
        libraries["cuda"] = cuda
    devices: set[str] = set()
    for device, library in libraries.items():
        try:
            torch.ops.load_library(library)
        except OSError as error:
            warnings.warn(
                f"{library.name} does not load beside torch {torch.__version__}; the slower "
                "PyTorch implementation is used in its place. It needs torch 2.10 or newer; if "
                f"yours is, reinstall mmhadaptive beside it. ({error.__cause__ or error})",
                stacklevel=2,
            )
            break  # The CUDA library has kernels for what the CPU library declares.
        devices.add(device)
    else:
        if "cuda" not in devices and torch.cuda.is_available():
            warnings.warn(
                "mmhadaptive was installed without its CUDA operator; the slower PyTorch "
                "implementation is used on the GPU. Reinstall it where there is an nvcc.",
                stacklevel=2,
            )
    if devices:
        devices.add("meta")
    return frozenset(devices)


#: The device types that have compiled kernels.
DEVICES = load()
