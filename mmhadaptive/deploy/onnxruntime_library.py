"""The library of ONNX Runtime operators, and sessions that load it. Needs no torch."""

from __future__ import annotations

import os
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


def make_session(
    path: str | os.PathLike, options: onnxruntime.SessionOptions | None = None, **arguments
) -> onnxruntime.InferenceSession:
    """An ``InferenceSession`` for a model of any form: operators of ours are registered if the
    model has some.

    Args:
        path: The ONNX file.
        options: The session's; where operators are registered, that is done to these.
        arguments: Further ones of ``InferenceSession``; ``providers`` is the CPU by default.

    Raises:
        UserError: The model has operators of ours, but the library is missing or made for a newer
            ONNX Runtime.
    """
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions() if options is None else options
    arguments = {"providers": ["CPUExecutionProvider"], **arguments}
    try:
        return InferenceSession(path, options, **arguments)
    # The classes of its errors have Exception in common.
    except Exception as error:
        if f" {DOMAIN}:" not in str(error):
            raise
    try:
        options.register_custom_ops_library(get_library_path())
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        raise UserError(
            f"{path} needs mmhadaptive's operators, which do not load: {error}"
        ) from error
    return InferenceSession(path, options, **arguments)
