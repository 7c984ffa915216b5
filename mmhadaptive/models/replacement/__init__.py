"""Replace named blocks of a network, such as its last bottlenecks by cross-Hadamard ones."""

from .replace import ReplacementReport, build_replaced, find_target, replace_blocks

__all__ = ["ReplacementReport", "build_replaced", "find_target", "replace_blocks"]
