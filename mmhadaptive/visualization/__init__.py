"""Pictures of results: importing this package registers the hooks that draw them."""

from ..optional import MMPRETRAIN, needs

with needs(*MMPRETRAIN, user=__name__):
    from .cls_visualization_hook import ClsVisualizationHook

__all__ = ["ClsVisualizationHook"]
