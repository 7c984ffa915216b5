"""Parallel branches that a network trains with, merged as it runs afterwards."""

from __future__ import annotations

from torch import nn


def merge_branches(model: nn.Module) -> None:
    """Bring a classifier or detector into its form for inference, in place.

    A backbone of mmpretrain's has ``switch_to_deploy`` for that, as MobileOne's; timm's networks,
    in mmpretrain's ``TimmClassifier``, are merged by timm. Other networks stay as they are.

    Args:
        model: The network, in evaluation mode: normalisation is merged as well.
    """
    if hasattr(getattr(model, "backbone", None), "switch_to_deploy"):
        model.backbone.switch_to_deploy()
    elif hasattr(model, "model"):
        from timm.utils.model import reparameterize_model

        model.model = reparameterize_model(model.model)
