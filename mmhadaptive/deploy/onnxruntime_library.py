"""The library of ONNX Runtime operators, and sessions that load it. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmhadaptive.io.user_errors import UserError

if TYPE_CHECKING:
    import onnxruntime

#: The domain of the operators in a graph; csrc/onnxruntime/register.cpp has the same.
DOMAIN = "mmhadaptive"
_LIBRARY = Path(__file__).with_name("libmmhadaptive_onnxruntime.so")


def get_library_path() -> str:
    """The path of the library, for ``SessionOptions.register_custom_ops_library``, and for
    ``RegisterCustomOpsLibrary`` of other languages.

    Its operators divide their work for the threads of the machine, or for the number that the
    options' entry ``mmhadaptive.threads`` had when the library was registered: set it to the
    session's threads where these are others.

    Raises:
        UserError: mmhadaptive was installed without it.
    """
    if not _LIBRARY.exists():
        raise UserError(
            f"mmhadaptive was installed without its operators for ONNX Runtime, {_LIBRARY}: "
            "reinstall it with a C++ compiler and MMHADAPTIVE_ONNXRUNTIME=1, which fetches ONNX "
            "Runtime's headers from Debian or takes them from ONNXRUNTIME_INCLUDE_DIR; or export "
            "the model with form='standard'"
        )
    return str(_LIBRARY)


def load_session(
    path: str | os.PathLike,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    options: onnxruntime.SessionOptions | None = None,
) -> onnxruntime.InferenceSession:
    """Load an ONNX file of any form: the library is registered if the model has operators of ours.

    Args:
        path: The file.
        providers: ONNX Runtime's execution providers.
        options: The session's. They come to hold the library and its entry
            ``mmhadaptive.threads``, and log what is fatal alone: what goes wrong is in the error.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: ONNX Runtime can't load it; or it needs the library, which is missing or made
            for a newer ONNX Runtime.
    """
    from onnxruntime import InferenceSession, SessionOptions

    if not os.path.isfile(path):
        raise FileNotFoundError(f"no model at {path}")
    options = options or SessionOptions()
    options.log_severity_level = 4
    # ONNX Runtime's errors have no common class.
    try:
        return InferenceSession(path, options, list(providers))
    except Exception as error:
        if f" {DOMAIN}:" not in str(error):
            raise UserError(_cannot_load(path, error)) from error
    if options.intra_op_num_threads > 0:
        threads = str(options.intra_op_num_threads)
        options.add_session_config_entry("mmhadaptive.threads", threads)
    try:
        options.register_custom_ops_library(get_library_path())
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        message = f"{path} needs mmhadaptive's operators, which do not load: {error}"
        raise UserError(message) from error
    try:
        return InferenceSession(path, options, list(providers))
    except Exception as error:
        raise UserError(_cannot_load(path, error)) from error


def _cannot_load(path: str | os.PathLike, error: Exception) -> str:
    reason = str(error).partition("\n")[0]
    return f"{path} is no model that ONNX Runtime can load: {reason}"
