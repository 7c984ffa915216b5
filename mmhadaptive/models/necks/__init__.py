"""Necks, registered in mmengine's MODELS."""

from .ach_pafpn import ACHPAFPN

__all__ = ["ACHPAFPN"]
