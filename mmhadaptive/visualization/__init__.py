"""Pictures of results: importing this package registers the hooks that draw them."""

from .cls_visualization_hook import ClsVisualizationHook

__all__ = ["ClsVisualizationHook"]
