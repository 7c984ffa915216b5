"""From a checkpoint to what runs elsewhere: export, a runner without torch.

Names are looked up when they are used, since the runner needs no torch.
"""

from __future__ import annotations

from importlib import import_module

# Of each public name, the module that has it.
_MODULES = {
    "OnnxRunner": "onnx_runner",
    "check_onnx": "check_export",
    "describe": "metadata",
    "export_onnx": "onnx_export",
    "export_pt2": "torch_export",
    "fuse": "fusion",
    "get_library_path": "onnxruntime_library",
    "load_session": "onnxruntime_library",
    "onnx_translation_table": "onnx_operators",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
